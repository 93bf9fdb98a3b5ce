package partition

import (
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

func TestAnOwnerThatIsLostLeavesNoOutcomeWithoutAVerdict(t *testing.T) {
	for _, queue := range []string{"keyed", "loose"} {
		for name, sealed := range map[string]bool{"gathering": false, "in flight": true} {
			t.Run(queue+" "+name, func(t *testing.T) {
				r := newRig(t, nil)
				r.deliver(newTask(queue, "k", "a"), newTask(queue, "k", "b"))
				l := r.one()
				if !sealed { // another batch is under way
					r.c.putRecord(r.now, &task.Write{Key: "other", Name: "n", Value: []byte("x")}, true, func(uint64, error) {})
					r.step()
				}
				r.answer(l, 0, did(), did())
				if got := r.kinds(); len(got) != 0 {
					t.Fatalf("verdicts before it is durable: %v", got)
				}
				r.c.abandon()
				if got := r.kinds(); len(got) != 2 || got[0] != task.VerdictStale || got[1] != task.VerdictStale {
					t.Errorf("verdicts %v, want two that are stale", got)
				}
			})
		}
	}
}
