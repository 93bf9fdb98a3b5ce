package dispatch

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

func TestSteeringAnUnknownWorkerNamesThoseThatThereAre(t *testing.T) {
	b := newBench(t)
	steer := map[string]func(id string) (Worker, error){
		"weight": func(id string) (Worker, error) { return b.SetWeight(id, 2) },
		"quiet":  func(id string) (Worker, error) { return b.SetQuiet(id, true) },
		"drain":  b.DrainWorker,
	}
	for name, f := range steer {
		if _, err := f("w1"); task.CodeOf(err) != task.CodeNotFound || !strings.Contains(err.Error(), "no worker is connected") {
			t.Errorf("%s without workers: %v", name, err)
		}
	}
	b.worker("w1", 1)
	b.worker("w2", 1)
	for name, f := range steer {
		_, err := f("w11")
		if task.CodeOf(err) != task.CodeNotFound || !strings.Contains(err.Error(), "w1, w2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSetWeightRefusesWhatPickersCannotReckonWith(t *testing.T) {
	b := newBench(t)
	b.worker("w", 1)
	for _, weight := range []float64{-1, math.NaN(), math.Inf(1), MaxWeight * 2, 1. / MaxWeight / 2} {
		_, err := b.SetWeight("w", weight)
		var e *task.Error
		if !errors.As(err, &e) || e.Code != task.CodeInvalidArgument || e.Field != "weight" {
			t.Errorf("%v: %v", weight, err)
		}
	}
	if w := b.Workers()[0]; w.Weight != 1 || w.WeightIsSet {
		t.Errorf("the worker is %+v", w)
	}
}

func TestAQuietWorkerGetsNothingNewAndKeepsWhatItHas(t *testing.T) {
	ask := map[string]func(b *bench, s *Session, on bool){
		"by itself": func(_ *bench, s *Session, on bool) { s.Quiet(on) },
		"by a person": func(b *bench, _ *Session, on bool) {
			if w, err := b.SetQuiet("w", on); err != nil || (w.State == StateQuiet) != on {
				b.t.Errorf("%+v, %v", w, err)
			}
		},
	}
	for name, quiet := range ask {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			s := b.worker("w", 2)
			b.assign(0, settings("q"), "")
			quiet(b, s, true)
			if b.assign(1, settings("q"), "") != 0 || b.state() != StateQuiet || b.Eligible("q", "") != 0 {
				t.Fatal("a quiet worker got something new")
			}
			b.check()
			b.Answer(s.Ref().Session, task.Verdict{Count: 1})
			var batch Batch
			if err := s.Next(t.Context(), &batch); err != nil || len(batch.Verdicts) != 1 || batch.Drain {
				t.Fatalf("%+v, %v", batch, err)
			}
			if w := b.Workers()[0]; w.InFlight != 1 || w.Serving[0].InFlight != 1 {
				t.Errorf("the worker lost what it had: %+v", w)
			}
			quiet(b, s, false)
			if got := b.engine.woken(); len(got) != 1 || got[0] != 1 {
				t.Fatalf("woken %v when the worker takes tasks again", got)
			}
			if b.assign(1, settings("q"), "") == 0 || b.Eligible("q", "") != 1 {
				t.Error("no slot")
			}
			b.check()
		})
	}
}

func TestAPersonsQuietStandsAboveTheWorkers(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 1)
	set := func(on bool) {
		t.Helper()
		if _, err := b.SetQuiet("w", on); err != nil {
			t.Fatal(err)
		}
	}
	want := func(state State) {
		t.Helper()
		if got := b.state(); got != state {
			t.Fatalf("the worker is %s, want %s", got, state)
		}
	}
	set(true)
	s.Quiet(false)
	want(StateQuiet)
	s = b.worker("w", 1)
	want(StateQuiet)
	s.Quiet(true)
	set(false)
	want(StateActive)
}

func TestADrainedWorkerIsAskedToLeaveAndGetsNothingMore(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 2)
	b.assign(0, settings("q"), "")
	w, err := b.DrainWorker("w")
	if err != nil || w.State != StateDraining || w.InFlight != 1 {
		t.Fatalf("%+v, %v", w, err)
	}
	var batch Batch
	if err := s.Next(t.Context(), &batch); err != nil || !batch.Drain || !batch.Leave {
		t.Fatalf("%+v, %v", batch, err)
	}
	s.Quiet(false)
	if b.assign(0, settings("q"), "") != 0 || b.Eligible("q", "") != 0 {
		t.Error("a drained worker got something new")
	}
	b.check()
}
