package workers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/tests/harness"
)

// holdKeys submits jobs of several keys to a worker that is alone, and waits until
// it holds the first job of each. They go on when the gate is opened.
func (f *fleet) holdKeys(p *process, keys, n int) (held []submission, all []submission, open func()) {
	f.t.Helper()
	gate := filepath.Join(f.t.TempDir(), "gate")
	for i := range keys {
		key := fmt.Sprintf("held-%d", i)
		more := f.submitAll(jobs, key, n, job{Hold: gate})
		held, all = append(held, more[0]), append(all, more...)
	}
	harness.Await(f.t, "the worker holds the first job of each key", func(context.Context) bool {
		return len(f.follow(p)) == keys
	})
	return held, all, func() {
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
}

// awaitDone waits until all of these are done.
func (f *fleet) awaitDone(all ...submission) {
	f.t.Helper()
	for i := range all {
		harness.Await(f.t, fmt.Sprintf("job %d of %s is done", all[i].n, all[i].key), func(ctx context.Context) bool {
			status, err := f.client.Task(ctx, all[i].id)
			return err == nil && status.State == fenfa.StateDone
		})
	}
}

// longestSilence is far beyond the 3 s after which a silent worker is dead: keys
// that wait for so long hang.
const longestSilence = 10 * time.Second

// expectMoved checks that the keys of a worker that froze began elsewhere, neither
// while it surely had its leases nor so late that something must have hung.
func (f *fleet) expectMoved(held []submission, frozen *process, at time.Time) {
	f.t.Helper()
	first := map[string]time.Duration{}
	for _, run := range f.runs() {
		begun := time.Unix(0, run.Start).Sub(at)
		if earliest, known := first[run.Key]; run.Worker != frozen.crew.Workers[0] && (!known || begun < earliest) {
			first[run.Key] = begun
		}
	}
	for i := range held {
		begun, known := first[held[i].key]
		if !known || begun < surelyHeld || begun > longestSilence {
			f.t.Errorf("key %s began elsewhere %v after its worker froze (at all: %v), want between %v and %v",
				held[i].key, begun, known, surelyHeld, longestSilence)
		}
	}
	f.t.Logf("its keys began elsewhere after the worker froze: %v", first)
}

// expectRunTwice checks that each of these was run to its end by both processes,
// and that only the second one's run counted.
func (f *fleet) expectRunTwice(e *evidence, held []submission, first *process) {
	f.t.Helper()
	for i := range held {
		id := held[i].id
		status := e.status[id]
		if status.Worker == first.crew.Workers[0] {
			f.t.Errorf("job %d of %s is done by %s, which held it past its lease", held[i].n, held[i].key, status.Worker)
		}
		ended := 0
		for _, run := range first.journal.runs {
			if run.Task == task.ID(id) && run.Delivery == 1 && run.End != 0 && run.Error == "" {
				ended++
			}
		}
		if ended != 1 {
			f.t.Errorf("job %d of %s ended %d times at the worker that was frozen, want once, too late", held[i].n, held[i].key, ended)
		}
	}
}

// TestAFrozenWorkersKeysGoOnElsewhere freezes a worker that holds keys. They go on
// elsewhere, in order; when it wakes its outcomes change nothing, and it works on.
func TestAFrozenWorkersKeysGoOnElsewhere(t *testing.T) {
	const keys = 6
	f := newFleet(t, fenfa.Queue{Name: jobs})
	frozen := f.hireEach("frozen")[0]
	held, all, open := f.holdKeys(frozen, keys, 20)
	others := f.hireEach("other-1", "other-2")
	load := &load{fleet: f, keys: 16}
	stop := load.start()
	f.awaitProgress(50, others...)

	at := time.Now()
	frozen.Freeze()
	f.awaitDone(all...)
	f.expectMoved(held, frozen, at)
	f.expectEnds(map[string]int{"silent": 1})
	if w, listed := f.now()["frozen"]; listed {
		t.Errorf("the frozen worker is still listed: %+v", w)
	}

	open()
	frozen.Thaw()
	harness.Await(t, "the frozen worker's handlers have ended", func(context.Context) bool { return f.ended(frozen) >= keys })
	f.awaitActive("frozen")
	f.awaitProgress(20, frozen)
	stop()
	e := f.check(allowed{repeats: true}, append(load.submissions, all...)...)
	f.expectRunTwice(e, held, frozen)
	f.expectEnds(map[string]int{"silent": 1})
	f.dismiss(append(others, frozen)...)
	// Whichever comes first: it reads what the node said, or sees how late it is.
	if said := frozen.Output(); !strings.Contains(said, "silent for too long") && !strings.Contains(said, "stood still for longer") {
		t.Error("the worker does not know that its session has ended")
	}
}

// TestALateOutcomeOfALiveWorkerIsStale freezes a worker for longer than an attempt
// may take, and too short for its session to end: its outcome reaches the node,
// which refuses it.
func TestALateOutcomeOfALiveWorkerIsStale(t *testing.T) {
	const timeout = 500 * time.Millisecond
	f := newFleet(t, fenfa.Queue{Name: jobs, Timeout: timeout, Retry: fenfa.RetryPolicy{Base: time.Millisecond}})
	frozen := f.hireEach("frozen")[0]
	held, all, open := f.holdKeys(frozen, 1, 5)
	other := f.hireEach("other")[0]
	frozen.Freeze()
	harness.Await(t, "the attempt has timed out", func(ctx context.Context) bool {
		status, err := f.client.Task(ctx, held[0].id)
		return err == nil && status.Attempts > 0
	})
	frozen.Thaw()
	open()
	e := f.check(allowed{repeats: true, failures: true, timeout: timeout}, all...)
	f.expectEnds(nil)
	if stale := f.metric("fenfa_lease_stale_outcomes_total"); stale == 0 {
		t.Error("no outcome was refused as stale")
	}
	for id, status := range e.status {
		if want := map[bool]int{true: 1}[id == held[0].id]; status.Attempts != want {
			t.Errorf("task %s has %d failed attempts, want %d", id, status.Attempts, want)
		}
	}
	f.dismiss(frozen, other)
}
