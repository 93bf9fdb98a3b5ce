package partition

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/txn"
)

// crossing is a core of two partitions, whose test plays the other one.
type crossing struct {
	*rig
	away task.Write // of a record of the other partition
}

func newCrossing(t *testing.T) *crossing {
	t.Helper()
	x := &crossing{rig: newRig(t, func(cfg *coreConfig) { cfg.Partitions = 2 })}
	for i := range 100 {
		if key := fmt.Sprint("k", i); task.PartitionOf(key, 2) == 1 {
			x.away = task.Write{Key: key, Name: "n", Value: []byte("1")}
			return x
		}
	}
	t.Fatal("all keys lie in one partition")
	return nil
}

// vote answers the prepare that was told last.
func (x *crossing) vote() {
	x.t.Helper()
	for _, m := range slices.Backward(x.told) {
		if m.Kind == txn.Prepare {
			x.c.hear(x.now, txn.Message{Kind: txn.Voted, Tx: m.Tx, From: 1, To: 0, Began: m.Began})
			x.step()
			x.commit()
			return
		}
	}
	x.t.Fatal("nobody was asked to prepare")
}

func TestATaskWithoutOrderGoesOnAfterItsWorkerWasLostInATransaction(t *testing.T) {
	for name, late := range map[string]bool{"the vote comes late": true, "the vote never comes": false} {
		t.Run(name, func(t *testing.T) {
			x := newCrossing(t)
			x.deliver(newTask("loose", "", "1"))
			first := x.one()
			x.answer(first, 0, task.Outcome{Kind: task.OutcomeDone, Writes: []task.Write{x.away}})
			x.c.workerGone(x.now, x.worker.Session, false)
			x.step()
			again := x.one()
			if late {
				x.vote() // of the transaction of the lease that has ended
			}
			x.answer(again, 0, task.Outcome{Kind: task.OutcomeDone, Writes: []task.Write{x.away}})
			x.vote()
			if got := x.state("1"); got != task.StateDone {
				t.Errorf("the task is %v", got)
			}
			if len(x.c.leases) != 0 {
				t.Errorf("%d leases are left", len(x.c.leases))
			}
		})
	}
}

func TestALeaseDoesNotEndWhileATransactionOfItsTaskIsDecided(t *testing.T) {
	x := newCrossing(t)
	slow := newTask("loose", "", "1")
	slow.Timeout = time.Second
	x.deliver(slow)
	x.answer(x.one(), 0, task.Outcome{Kind: task.OutcomeDone, Writes: []task.Write{x.away}})
	x.pass(decideWithin - time.Second) // longer than its timeout
	x.vote()
	if m := x.mark("1"); m == nil || m.State != task.StateDone || m.Attempts != 0 {
		t.Errorf("the mark is %+v, want a task that is done at its first attempt", m)
	}
}

func TestATransactionThatIsAbortedAfterTheTimeoutIsNoFailedAttempt(t *testing.T) {
	x := newCrossing(t)
	slow := newTask("loose", "", "1")
	slow.Timeout = time.Second
	x.deliver(slow)
	l := x.one()
	x.answer(l, 0, task.Outcome{Kind: task.OutcomeDone, Writes: []task.Write{x.away}})
	x.pass(decideWithin + time.Second) // nobody votes
	if len(x.verdicts) == 0 || x.verdicts[len(x.verdicts)-1].Kind != task.VerdictConflict {
		t.Fatalf("the worker was told %+v, want that there was a conflict", x.verdicts)
	}
	x.answer(l, 0, task.Outcome{Kind: task.OutcomeDone, Writes: []task.Write{x.away}})
	x.vote()
	if m := x.mark("1"); m == nil || m.State != task.StateDone || m.Attempts != 0 {
		t.Errorf("the mark is %+v, want a task that is done at its first attempt", m)
	}
}
