package saga_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/task"
)

// drawn makes a definition at random.
func drawn(rng *rand.Rand) *saga.Definition {
	d := &saga.Definition{Name: "drawn"}
	if rng.IntN(3) == 0 {
		d.Deadline = saga.Duration(time.Duration(1+rng.IntN(20)) * time.Second)
	}
	n := 0
	for range 1 + rng.IntN(4) {
		var stage saga.Stage
		for range 1 + rng.IntN(3) {
			s := saga.Step{Name: fmt.Sprint("s", n), Queue: "q", OnDead: []saga.OnDead{"", "", saga.OnDeadHalt, saga.OnDeadSkip}[rng.IntN(4)]}
			if rng.IntN(4) > 0 {
				s.Compensation = &saga.Compensation{When: []saga.When{"", saga.WhenTried}[rng.IntN(2)]}
			}
			stage = append(stage, s)
			n++
		}
		d.Stages = append(d.Stages, stage)
	}
	return d
}

// Whatever ends how and in what order, with repeats, deadlines and what people do:
// a saga ends, undone newest first or done, and nothing of a step takes effect
// after its compensation began.
func TestAnySagaEndsDoneOrCompensated(t *testing.T) {
	for seed := range uint64(1000) {
		if t.Failed() {
			t.Fatalf("seed %d", seed-1)
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		d := drawn(rng)
		w := begin(t, d, `{}`)
		operations := 0
		for round := 0; !w.in.State.Status.Final(); round++ {
			if round > 2000 {
				t.Fatalf("seed %d: no end: %s, %s", seed, w.in.State.Status, w.open())
			}
			wasBack := w.in.State.Back
			switch rng.IntN(10) {
			case 0:
				if len(w.ended) > 0 && w.receive(w.ended[rng.IntN(len(w.ended))]) {
					t.Error("a repeat changed the saga")
				}
			case 1:
				w.pass(time.Duration(rng.IntN(5)) * time.Second)
			case 2:
				operations++
				do := []saga.Do{saga.DoRetry, saga.DoSkip, saga.DoCompensate}[rng.IntN(3)]
				if do == saga.DoCompensate && rng.IntN(4) > 0 {
					do = saga.DoRetry
				}
				_ = w.operate(saga.Operation{ID: fmt.Sprint(operations), Do: do}) // often there is nothing to do
			default:
				if name := w.pick(rng); name != "" {
					state := []task.State{task.StateDone, task.StateDone, task.StateDone, task.StateDead, task.StateExpired}[rng.IntN(5)]
					w.end(name, saga.Ending{State: state, Deliveries: rng.IntN(2), Error: "drawn"})
				}
			}
			if wasBack && !w.in.State.Back {
				t.Error("a saga that compensated goes forward")
			}
		}
		judge(t, d, w)
	}
}

// judge looks at what took effect.
func judge(t *testing.T, d *saga.Definition, w *world) {
	t.Helper()
	stage := map[string]int{}
	for number, steps := range d.Stages {
		for _, s := range steps {
			stage[s.Name] = number
		}
	}
	at := map[string]int{}
	lowest := len(d.Stages)
	for i, name := range w.order {
		if _, twice := at[name]; twice {
			t.Errorf("%s took effect twice: %q", name, w.order)
		}
		at[name] = i
		undone, undo := strings.CutPrefix(name, "undo ")
		if !undo {
			if _, after := at["undo "+name]; after {
				t.Errorf("%s took effect after its compensation: %q", name, w.order)
			}
			if lowest < len(d.Stages) {
				t.Errorf("%s took effect after the first compensation: %q", name, w.order)
			}
			continue
		}
		if stage[undone] > lowest {
			t.Errorf("%s came after an older one: %q", name, w.order)
		}
		lowest = min(lowest, stage[undone])
	}
	if len(w.tasks) > 0 {
		t.Errorf("the saga has ended and runs %s", w.open())
	}
	for i, s := range w.in.State.Steps {
		def := stepOf(d, s.Name)
		switch {
		case w.in.State.Status == saga.StatusDone && s.Undo.Phase != saga.PhaseNone:
			t.Errorf("step %d of a saga that is done was compensated", i)
		case w.in.State.Status == saga.StatusDone && s.Do.Phase != saga.PhaseDone && s.Do.Phase != saga.PhaseSkipped:
			t.Errorf("step %d of a saga that is done is %q", i, s.Do.Phase)
		case w.in.State.Status == saga.StatusCompensated && s.Do.Phase == saga.PhaseDone && def.Compensation != nil &&
			s.Undo.Phase != saga.PhaseDone && s.Undo.Phase != saga.PhaseSkipped:
			t.Errorf("step %d of a saga that is compensated is done, and its compensation is %q", i, s.Undo.Phase)
		}
	}
}

func stepOf(d *saga.Definition, name string) *saga.Step {
	for _, stage := range d.Stages {
		for i := range stage {
			if stage[i].Name == name {
				return &stage[i]
			}
		}
	}
	return nil
}
