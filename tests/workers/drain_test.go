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
	f.expectNothingNew(leaver, fenfa.WorkerDraining, keys, other)
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

// expectNothingNew waits until a worker is in a state in which it gets nothing new
// and has only so many jobs in its hands, and checks that it begins none while
// another one goes on.
func (f *fleet) expectNothingNew(p *process, state string, inHands int, other *process) {
	f.t.Helper()
	name := p.crew.Workers[0]
	f.awaitWorkers(name+" has only what it holds", func(all map[string]fenfa.WorkerInfo) bool {
		return all[name].State == state && all[name].InFlight == inHands
	})
	begun := len(f.follow(p))
	f.awaitProgress(100, other)
	if more := len(f.follow(p)) - begun; more > 0 {
		f.t.Errorf("%d handlers began at %s, which is %s", more, name, state)
	}
}
