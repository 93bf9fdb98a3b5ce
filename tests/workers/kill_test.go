package workers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/history"
	"github.com/fenfa/fenfa/internal/task"
)

// TestKilledWorkersLoseNothing kills two of four workers under load, again and
// again. Each comes back once under its name; after its second death another takes
// its place.
func TestKilledWorkersLoseNothing(t *testing.T) {
	f := newFleet(t, fenfa.Queue{Name: jobs})
	crews := f.hireEach("worker-0", "worker-1", "worker-2", "worker-3")
	load := &load{fleet: f, work: 20 * time.Millisecond}
	stop := load.start()

	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var kills []kill
	lives, newest := map[string]int{}, len(crews)-1
	for range rounds(t, 6) {
		f.awaitProgress(100+random.IntN(200), crews...)
		random.Shuffle(len(crews), func(i, j int) { crews[i], crews[j] = crews[j], crews[i] })
		for _, p := range crews[:2] {
			kills = append(kills, kill{p, time.Now()})
			p.Kill()
		}
		f.awaitProgress(50, crews[2:]...)
		for i := range crews[:2] {
			name := crews[i].crew.Workers[0]
			if lives[name]++; lives[name] > 1 {
				newest++
				name = fmt.Sprintf("worker-%d", newest)
			}
			crews[i] = f.hire(crew{Workers: []string{name}})
		}
		for _, p := range crews[:2] {
			f.awaitProgress(1, p)
		}
	}
	stop()
	e := f.check(allowed{repeats: true}, load.submissions...)
	f.dismiss(crews...)

	cut, gaps := resumed(e, kills)
	if cut == 0 {
		t.Errorf("%d kills met no handler at work: they prove nothing", len(kills))
	}
	if silent := f.metric("fenfa_dispatch_sessions_ended_total", `reason="silent"`); silent != 0 {
		t.Errorf("%v sessions ended by silence: a killed worker's stream breaks", silent)
	}
	t.Logf("%d kills with seed %d cut %d runs of handlers; their tasks ran again after %v (median; at most %v)",
		len(kills), seed, cut, median(gaps), median(gaps[max(0, len(gaps)-1):]))
}

// kill is the end of a process.
type kill struct {
	process *process
	at      time.Time
}

// resumed counts the runs that kills cut, and says how long after the kill each
// of their tasks began to run again, shortest first.
func resumed(e *evidence, kills []kill) (cut int, gaps []time.Duration) {
	begins := map[task.ID][]history.Delivery{}
	for _, run := range e.runs {
		begins[run.Task] = append(begins[run.Task], run)
	}
	for _, k := range kills {
		for _, run := range k.process.journal.runs {
			if run.End != 0 {
				continue
			}
			cut++
			for _, again := range begins[run.Task] {
				if again.Delivery == run.Delivery+1 {
					gaps = append(gaps, time.Unix(0, again.Start).Sub(k.at).Round(time.Millisecond))
				}
			}
		}
	}
	slices.Sort(gaps)
	return cut, gaps
}

// median returns the middle one of sorted durations, and 0 of none.
func median(sorted []time.Duration) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}
