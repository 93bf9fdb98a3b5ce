package workers

import (
	"context"
	"strings"
	"testing"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/tests/harness"
)

// TestAWorkerThatWritesPastTheFenceIsFound freezes a worker past its lease whose
// handlers write by themselves instead of with their outcome: what the fence
// cannot stop, the checks must see.
func TestAWorkerThatWritesPastTheFenceIsFound(t *testing.T) {
	f := newFleet(t, fenfa.Queue{Name: jobs})
	frozen := f.hire(crew{Workers: []string{"frozen"}, Mutant: mutantPastTheFence})
	f.awaitActive("frozen")
	_, all, open := f.holdKeys(frozen, 1, 3)
	other := f.hireEach("other")[0]
	frozen.Freeze()
	f.awaitDone(all...)
	open()
	frozen.Thaw()
	harness.Await(t, "the frozen worker's handler has ended", func(context.Context) bool { return f.ended(frozen) == 1 })
	f.expectFinding(f.collect(all), allowed{repeats: true}, "nowhere:")
	f.dismiss(frozen, other)
}

// TestAWorkerThatDoesNotDrainIsFound stops a worker that drops what it has: the
// checks of drains and deploys must see it.
func TestAWorkerThatDoesNotDrainIsFound(t *testing.T) {
	f := newFleet(t, fenfa.Queue{Name: jobs})
	leaver := f.hire(crew{Workers: []string{"leaver"}, Mutant: mutantNoDrain})
	f.awaitActive("leaver")
	_, all, open := f.holdKeys(leaver, 1, 3)
	other := f.hireEach("other")[0]
	stopped := make(chan int, 1)
	go func() { stopped <- leaver.Stop() }()
	f.awaitDone(all...)
	open()
	<-stopped
	f.expectFinding(f.collect(all), allowed{}, "run 2 times, want once")
	f.dismiss(other)
}

// expectFinding checks that the run is not found clean.
func (f *fleet) expectFinding(e *evidence, may allowed, want string) {
	f.t.Helper()
	if found := strings.Join(e.judge(may), "\n"); !strings.Contains(found, want) {
		f.t.Errorf("found %q, want something with %q", found, want)
	}
}
