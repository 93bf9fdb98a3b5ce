package workers

import (
	"encoding/json"
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
	processes := min(setting(t, "FENFA_PROCESSES", 20), deployed)
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
	f.expectGoodbyes(e, old)
	if failed := f.metric("fenfa_task_failed_attempts_total"); failed != 0 {
		t.Errorf("%v attempts failed", failed)
	}
	during, longest := pauses(e.runs, begin, end)
	t.Logf("%d workers in %d processes were replaced, %d at once, in %v; %d handlers ended meanwhile, at most %v apart",
		deployed, processes, atOnce, end.Sub(begin).Round(time.Millisecond), during, longest)
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

// lostGoodbyes is how many goodbyes of a deploy may be lost. A worker that leaves
// waits for 1 s until the node has ended its stream; on a machine that has too much
// to do the node may come to it later, and finds a broken stream. A drain that says
// no goodbye loses all of them.
const lostGoodbyes = 3

// expectGoodbyes checks that each worker of processes that drained left as one
// that says goodbye, and that each job was handed out once if all did.
func (f *fleet) expectGoodbyes(e *evidence, drained []*process) {
	f.t.Helper()
	ends, away := f.ends(), 0
	for _, p := range drained {
		for _, name := range p.crew.Workers {
			switch said := ends[name]; {
			case slices.Equal(said, []string{"the worker left"}):
			case slices.Equal(said, []string{"the worker's stream broke and it did not come back"}):
				away++
			default:
				f.t.Errorf("worker %s has drained, and its sessions ended so in the node's log: %q", name, said)
			}
		}
	}
	if away > lostGoodbyes {
		f.t.Errorf("%d goodbyes of %d were lost, want at most %d", away, deployed, lostGoodbyes)
	}
	f.expectEnds(map[string]int{"left": deployed - away, "away": away})
	for id, status := range e.status {
		// What a lost worker holds may have begun, so its hand-out counts.
		if away == 0 && status.Deliveries != 1 {
			f.t.Errorf("task %s was handed out %d times, and no worker was lost", id, status.Deliveries)
		}
	}
}

// ends reads from the node's log why the sessions of each worker ended.
func (f *fleet) ends() map[string][]string {
	f.t.Helper()
	all := map[string][]string{}
	for text := range strings.Lines(f.node.Output()) {
		var line struct{ Msg, Worker, Reason string }
		if err := json.Unmarshal([]byte(text), &line); err == nil && line.Msg == "worker gone" {
			all[line.Worker] = append(all[line.Worker], line.Reason)
		}
	}
	return all
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
