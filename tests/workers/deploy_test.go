package workers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/history"
)

// deployed is how many workers a rolling deploy replaces.
const deployed = 100

// TestARollingDeployOf100WorkersIsNotNoticed replaces 100 workers under load, some
// processes at a time: a new process starts, then an old one is told to stop. No
// attempt is counted, no task is handed out twice, and each effect happens once
// and in order.
func TestARollingDeployOf100WorkersIsNotNoticed(t *testing.T) {
	f := newFleet(t, fenfa.Queue{Name: jobs})
	processes := min(rounds(t, 20), deployed)
	const atOnce = 4
	old := f.hireRelease("v1", processes)
	load := &load{fleet: f, keys: 100, every: 50 * time.Millisecond, work: 20 * time.Millisecond}
	stop := load.start()
	f.awaitProgress(500, old...)

	begin := time.Now()
	next := make([]*process, 0, processes)
	for i := 0; i < processes; i += atOnce {
		for j := i; j < min(i+atOnce, processes); j++ {
			next = append(next, f.hire(crew{Workers: release("v2", processes, j), Slots: 2}))
		}
		for j := i; j < min(i+atOnce, processes); j++ {
			f.awaitActive(next[j].crew.Workers...)
		}
		f.dismissAtOnce(old[i:min(i+atOnce, processes)])
	}
	end := time.Now()
	f.awaitProgress(500, next...)
	stop()
	e := f.check(allowed{}, load.submissions...)
	f.awaitWorkers("only the new workers are there", func(all map[string]fenfa.WorkerInfo) bool {
		for name := range all {
			if !strings.HasPrefix(name, "v2") {
				return false
			}
		}
		return len(all) == deployed
	})
	// A machine that has too much to do may not hear a goodbye in time.
	away := int(f.metric("fenfa_dispatch_sessions_ended_total", `reason="away"`))
	f.expectEnds(map[string]int{"left": deployed - away, "away": away})
	if failed := f.metric("fenfa_task_failed_attempts_total"); failed != 0 {
		t.Errorf("%v attempts failed", failed)
	}
	returned := 0 // handed out to workers that had just left, and handed out again
	for _, status := range e.status {
		returned += status.Deliveries - 1
	}
	during, longest := pauses(e.runs, begin, end)
	t.Logf("%d workers in %d processes were replaced, %d at once, in %v; %d handlers ended meanwhile, at most %v apart; %d jobs were handed out once more",
		deployed, processes, atOnce, end.Sub(begin).Round(time.Millisecond), during, longest, returned)
	f.dismissAtOnce(next)
}

// release names the workers of process i of a release.
func release(version string, processes, i int) []string {
	var names []string
	for n := i; n < deployed; n += processes {
		names = append(names, fmt.Sprintf("%s-%03d", version, n))
	}
	return names
}

// hireRelease starts all processes of a release.
func (f *fleet) hireRelease(version string, processes int) []*process {
	f.t.Helper()
	var all []*process
	var names []string
	for i := range processes {
		workers := release(version, processes, i)
		all, names = append(all, f.hire(crew{Workers: workers, Slots: 2})), append(names, workers...)
	}
	f.awaitActive(names...)
	return all
}

// dismissAtOnce lets processes drain at the same time.
func (f *fleet) dismissAtOnce(all []*process) {
	f.t.Helper()
	codes := make([]chan int, len(all))
	for i, p := range all {
		codes[i] = make(chan int, 1)
		go func() { codes[i] <- p.Stop() }()
	}
	for i, p := range all {
		if code := <-codes[i]; code != 0 {
			f.t.Errorf("the process of %v ended with code %d:\n%s", p.crew.Workers, code, p.Tail())
		}
	}
}

// pauses counts the handlers that ended in a time, and says how far apart two of
// them were at most.
func pauses(runs []history.Delivery, begin, end time.Time) (n int, longest time.Duration) {
	moments := []int64{begin.UnixNano(), end.UnixNano()}
	for _, run := range runs {
		if run.End > begin.UnixNano() && run.End < end.UnixNano() {
			moments = append(moments, run.End)
		}
	}
	slices.Sort(moments)
	for i := 1; i < len(moments); i++ {
		longest = max(longest, time.Duration(moments[i]-moments[i-1]))
	}
	return len(moments) - 2, longest.Round(time.Millisecond)
}
