package dispatch

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/fenfa/fenfa/internal/spell"
	"github.com/fenfa/fenfa/internal/task"
)

// SetWeight gives a connected worker a weight, above 0 and at most MaxWeight, that
// counts at once instead of the worker's own; 0 takes it back. It fails with
// CodeNotFound when no such worker is connected.
func (d *Dispatcher) SetWeight(id string, weight float64) (Worker, error) {
	if weight != 0 && !isWeight(weight) {
		return Worker{}, task.Errorf(task.CodeInvalidArgument,
			"weight is %v: want more than 0 and at most %d, or 0 to take back what was set", weight, MaxWeight).WithField("weight")
	}
	return d.steer(id, func(s *Session) {
		r := d.recordOf(id)
		s.record, r.weight = r, weight
		for _, m := range s.members {
			m.weigh(d.now())
		}
	})
}

// SetQuiet says whether a connected worker gets nothing new. It keeps its session
// and finishes what it has. False also ends a quiet that the worker asked for
// itself. It fails with CodeNotFound when no such worker is connected.
func (d *Dispatcher) SetQuiet(id string, quiet bool) (Worker, error) {
	return d.steer(id, func(s *Session) {
		r := d.recordOf(id)
		s.record, r.quiet = r, quiet
		if s.quiet && !quiet {
			s.quiet = false
			s.out.tellResumed() // Else it would come quiet when it connects again.
		}
	})
}

// DrainWorker takes a connected worker out of all queues at once and asks it over
// its stream to finish what it has, and to leave for good. It fails with
// CodeNotFound when no such worker is connected.
func (d *Dispatcher) DrainWorker(id string) (Worker, error) {
	return d.steer(id, func(s *Session) {
		s.draining = true
		s.out.askDrain(true)
	})
}

// steer applies f to the session of a connected worker, and gives out what became
// free by it.
func (d *Dispatcher) steer(id string, f func(s *Session)) (Worker, error) {
	var calls calls
	d.mu.Lock()
	s := d.byWorker[id]
	if s == nil {
		err := d.unknownWorker(id)
		d.mu.Unlock()
		return Worker{}, err
	}
	f(s)
	d.place(s)
	d.rebalance(&calls)
	w := s.describe()
	d.mu.Unlock()
	d.deliver(&calls)
	return w, nil
}

// namedInErrors is how many workers an error lists.
const namedInErrors = 20

// unknownWorker says which workers there are. The caller holds mu.
func (d *Dispatcher) unknownWorker(id string) *task.Error {
	names := slices.Sorted(maps.Keys(d.byWorker))
	hint := "no worker is connected"
	if len(names) > 0 {
		shown := names[:min(len(names), namedInErrors)]
		hint = "connected are " + strings.Join(shown, ", ")
		if len(shown) < len(names) {
			hint += " and others"
		}
	}
	if near, ok := spell.Nearest(id, names); ok {
		hint = "did you mean " + near + "? " + hint
	}
	return task.Errorf(task.CodeNotFound, "no worker %q is connected to this node: %s", id, hint).WithField("id")
}

// isWeight reports whether pickers can reckon with the weight.
func isWeight(w float64) bool { return !math.IsNaN(w) && w >= 1./MaxWeight && w <= MaxWeight }
