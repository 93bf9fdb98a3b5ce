package workers

import (
	"fmt"
	"strings"
	"testing"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/task"
)

// TestTasksRunOnlyAtWorkersWithTheirLabels submits tasks that ask for labels while
// workers that have them come and go. Those whose workers are missing wait, and
// nobody waits for them but their own key. Those that prefer a worker that has room
// all the time run nowhere else.
func TestTasksRunOnlyAtWorkersWithTheirLabels(t *testing.T) {
	f := newFleet(t, fenfa.Queue{Name: jobs})
	// Each key takes one slot at most: zone-a has room for the keys of all loads.
	zoneA := f.hire(crew{Workers: []string{"zone-a"}, Labels: map[string]string{"zone": "a"}, Slots: 64})
	zoneB := f.hire(crew{Workers: []string{"zone-b"}, Labels: map[string]string{"zone": "b"}})
	f.awaitActive("zone-a", "zone-b")
	anywhere := &load{fleet: f, name: "anywhere", keys: 16}
	inB := &load{fleet: f, name: "in-b", keys: 8, opts: asking("zone=b")}
	onGPU := &load{fleet: f, name: "on-gpu", keys: 8, opts: asking("gpu")}
	mixed := &load{fleet: f, name: "mixed", keys: 8, opts: func(n int) []fenfa.TaskOption {
		if n%2 == 0 {
			return asking("gpu", "zone!=b")(n)
		}
		return []fenfa.TaskOption{fenfa.Prefer("rare")} // Nobody has it.
	}}
	nearA := &load{fleet: f, name: "near-a", keys: 8, opts: func(int) []fenfa.TaskOption {
		return []fenfa.TaskOption{fenfa.Prefer("zone=a")}
	}}
	loads := []*load{anywhere, inB, onGPU, mixed, nearA}
	var stops []func()
	for _, l := range loads {
		stops = append(stops, l.start())
	}
	rare := f.submitAll(jobs, "rare", 5, job{}, fenfa.Require("rare"))

	f.awaitProgress(200, zoneA)
	f.awaitProgress(200, zoneB)
	for i := range rounds(t, 3) {
		gpu := f.hire(crew{Workers: []string{fmt.Sprintf("gpu-%d", i)}, Labels: map[string]string{"zone": "c", "gpu": "yes"}})
		f.awaitProgress(100, gpu)
		if i%2 == 1 {
			gpu.Kill()
		} else {
			f.dismiss(gpu)
		}
		f.awaitProgress(200, zoneA, zoneB)
	}
	for _, stop := range stops {
		stop()
	}
	last := f.hire(crew{Workers: []string{"last"}, Labels: map[string]string{"rare": "", "gpu": "yes"}})
	submissions := rare
	for _, l := range loads {
		submissions = append(submissions, l.submissions...)
	}
	e := f.check(allowed{repeats: true}, submissions...)
	for _, finding := range f.misplaced(e) {
		t.Error(finding)
	}
	f.expectPreferred(e, nearA, "zone-a")
	f.dismiss(zoneA, zoneB, last)
}

// expectPreferred checks that the jobs of a load ran at the worker that they
// prefer, which had room.
func (f *fleet) expectPreferred(e *evidence, l *load, worker string) {
	f.t.Helper()
	preferring, elsewhere := 0, 0
	for _, run := range e.runs {
		if strings.HasPrefix(run.Key, l.name+"-") {
			preferring++
			if run.Worker != worker {
				elsewhere++
			}
		}
	}
	if preferring == 0 || elsewhere > 0 {
		f.t.Errorf("%d of %d runs that prefer %s were elsewhere, though it had room", elsewhere, preferring, worker)
	}
	f.t.Logf("%d runs at the worker that they prefer", preferring-elsewhere)
}

// asking makes every job ask for labels.
func asking(terms ...string) func(int) []fenfa.TaskOption {
	return func(int) []fenfa.TaskOption { return []fenfa.TaskOption{fenfa.Require(terms...)} }
}

// misplaced finds runs at workers that do not have the labels that the job asked
// for.
func (f *fleet) misplaced(e *evidence) []string {
	labels := map[string]map[string]string{}
	for _, p := range f.crews {
		for _, name := range p.crew.Workers {
			labels[name] = p.crew.Labels
		}
	}
	require := map[task.ID]task.Selector{}
	for i := range e.submissions {
		require[task.ID(e.submissions[i].id)] = e.submissions[i].require
	}
	var findings []string
	for _, run := range e.runs {
		if want := require[run.Task]; !want.Matches(labels[run.Worker]) {
			findings = append(findings, "job of "+run.Key+" that asks for "+string(want)+" ran at "+run.Worker)
		}
	}
	return findings
}
