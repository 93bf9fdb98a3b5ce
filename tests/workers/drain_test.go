package workers

import (
	"testing"

	fenfa "github.com/fenfa/fenfa"
)

// TestAWorkerThatIsToldToStopFinishesWhatItHas stops a worker that holds keys. It
// gets nothing new, finishes what it has, and gives back what it has not begun.
func TestAWorkerThatIsToldToStopFinishesWhatItHas(t *testing.T) {
	const keys = 6
	f := newFleet(t, fenfa.Queue{Name: jobs})
	leaver := f.hireEach("leaver")[0]
	held, all, open := f.holdKeys(leaver, keys, 20)
	other := f.hireEach("other")[0]
	load := &load{fleet: f, keys: 16}
	stop := load.start()
	f.awaitProgress(50, other)

	code := make(chan int, 1)
	go func() { code <- leaver.Stop() }()
	f.awaitWorkers("the worker drains", func(all map[string]fenfa.WorkerInfo) bool { return all["leaver"].State == "draining" })
	begun := len(f.follow(leaver))
	f.awaitProgress(100, other)
	if more := len(f.follow(leaver)) - begun; more > 0 {
		t.Errorf("%d handlers began at a worker that drains", more)
	}
	open()
	if code := <-code; code != 0 {
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
