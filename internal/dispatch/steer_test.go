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
