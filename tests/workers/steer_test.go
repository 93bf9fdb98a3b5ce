package workers

import (
	"testing"
	"time"

	fenfa "github.com/fenfa/fenfa"
)

// TestAWorkerThatTheNodeDrainsEndsByItself sends a worker away that holds keys,
// while others work.
func TestAWorkerThatTheNodeDrainsEndsByItself(t *testing.T) {
	const keys = 6
	f := newFleet(t, fenfa.Queue{Name: jobs})
	leaver := f.hireEach("leaver")[0]
	held, all, open := f.holdKeys(leaver, keys, 20)
	other := f.hireEach("other")[0]
	load := &load{fleet: f, keys: 16}
	stop := load.start()
	f.awaitProgress(50, other)

	if w, err := f.client.DrainWorker(t.Context(), "leaver"); err != nil || w.State != fenfa.WorkerDraining {
		t.Fatalf("drain: %+v, %v", w, err)
	}
	f.expectNothingNew(leaver, fenfa.WorkerDraining, keys, other)
	open()
	if code := leaver.Wait(); code != 0 {
		t.Errorf("the worker ended with code %d:\n%s", code, leaver.Tail())
	}
	stop()
	e := f.check(allowed{}, append(load.submissions, all...)...)
	for i := range held {
		if by := e.status[held[i].id].Worker; by != "leaver" {
			t.Errorf("the job of %s that the worker held is done by %s", held[i].key, by)
		}
	}
	f.expectEnds(map[string]int{"left": 1})
	f.dismiss(other)
}

// TestAQuietWorkerGetsNothingUntilItIsResumed makes one of two workers quiet and
// lets it go on later.
func TestAQuietWorkerGetsNothingUntilItIsResumed(t *testing.T) {
	f := newFleet(t, fenfa.Queue{Name: jobs})
	crews := f.hireEach("quiet", "other")
	quiet, other := crews[0], crews[1]
	load := &load{fleet: f, keys: 16, work: 5 * time.Millisecond}
	stop := load.start()
	f.awaitProgress(20, quiet)

	if w, err := f.client.SetWorkerQuiet(t.Context(), "quiet", true); err != nil || w.State != fenfa.WorkerQuiet {
		t.Fatalf("quiet: %+v, %v", w, err)
	}
	f.expectNothingNew(quiet, fenfa.WorkerQuiet, 0, other)
	if w, err := f.client.SetWorkerQuiet(t.Context(), "quiet", false); err != nil || w.State != fenfa.WorkerActive {
		t.Fatalf("resume: %+v, %v", w, err)
	}
	f.awaitProgress(20, quiet)
	stop()
	f.check(allowed{}, load.submissions...)
	f.expectEnds(nil)
	f.dismiss(crews...)
}
