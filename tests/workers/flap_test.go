package workers

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	fenfa "github.com/fenfa/fenfa"
)

// tolerated is how often a worker may break off before it has to wait for tasks.
const tolerated = 2

// TestAFlappingWorkerMovesOnlyItsOwnKeys kills and restarts one of four workers
// under its name, again and again. The others keep their keys and their sessions.
func TestAFlappingWorkerMovesOnlyItsOwnKeys(t *testing.T) {
	// A bound that no worker reaches: what moves does so because of the flapping.
	f := newFleet(t, fenfa.Queue{Name: jobs, Balance: fenfa.Balance{Policy: fenfa.BalanceConsistentHash, LoadBound: 100}})
	names := []string{"steady-1", "steady-2", "steady-3"}
	var steady []*process
	for _, name := range names {
		steady = append(steady, f.hire(crew{Workers: []string{name}, Slots: 256}))
	}
	flapper := f.hire(crew{Workers: []string{"flapper"}, Slots: 256})
	f.awaitActive(append(names, "flapper")...)
	f.awaitFullWeight(append(names, "flapper")...)
	connected := f.now()

	load := &load{fleet: f, keys: 64}
	stop := load.start()
	flaps := rounds(t, 5)
	for i := range flaps {
		if i < tolerated {
			f.awaitProgress(20, flapper)
		}
		flapper.Kill()
		f.awaitProgress(300, steady...) // They go on while it is away.
		flapper = f.hire(crew{Workers: []string{"flapper"}, Slots: 256})
		f.awaitActive("flapper")
		f.awaitProgress(100, steady...)
	}
	if serving := f.now()["flapper"].Serving; len(serving) != 1 || serving[0].EjectedFor != fenfa.EjectedForFlapping {
		t.Errorf("after %d flaps the worker is not kept away: %+v", flaps, serving)
	}
	stop()
	e := f.check(allowed{repeats: true}, load.submissions...)

	ends := f.metric("fenfa_dispatch_sessions_ended_total")
	if ends != float64(flaps) {
		t.Errorf("%v sessions ended in %d flaps: somebody else's too", ends, flaps)
	}
	now := f.now()
	for _, name := range names {
		if !now[name].ConnectedAt.Equal(connected[name].ConnectedAt) {
			t.Errorf("%s has connected again at %v", name, now[name].ConnectedAt)
		}
	}
	moves := movesBetween(e, names)
	for key, workers := range moves {
		t.Errorf("key %s moved between workers that did not flap: %v", key, workers)
	}
	t.Logf("%d flaps, %d keys, %d of them moved between steady workers", flaps, load.keys, len(moves))
	f.dismiss(append(steady, flapper)...)
}

// awaitFullWeight waits until newcomers have their whole share.
func (f *fleet) awaitFullWeight(names ...string) {
	f.t.Helper()
	f.awaitWorkers(fmt.Sprintf("%v have their whole weight", names), func(all map[string]fenfa.WorkerInfo) bool {
		for _, name := range names {
			if w := all[name]; w.ID == "" || w.EffectiveWeight < w.Weight {
				return false
			}
		}
		return true
	})
}

// movesBetween returns, of each key that ran at more than one of these workers, at
// which.
func movesBetween(e *evidence, workers []string) map[string][]string {
	at := map[string]map[string]bool{}
	for _, run := range e.runs {
		if at[run.Key] == nil {
			at[run.Key] = map[string]bool{}
		}
		if slices.Contains(workers, run.Worker) {
			at[run.Key][run.Worker] = true
		}
	}
	moved := map[string][]string{}
	for key, set := range at {
		if len(set) > 1 {
			moved[key] = slices.Sorted(maps.Keys(set))
		}
	}
	return moved
}
