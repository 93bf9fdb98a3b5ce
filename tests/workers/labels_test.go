package workers

import (
	"fmt"
	"testing"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/task"
)

// TestTasksRunOnlyAtWorkersWithTheirLabels submits tasks that ask for labels while
// workers that have them come and go. Those whose workers are missing wait, and
// nobody waits for them but their own key.
func TestTasksRunOnlyAtWorkersWithTheirLabels(t *testing.T) {
	f := newFleet(t, fenfa.Queue{Name: jobs})
	zoneA := f.hire(crew{Workers: []string{"zone-a"}, Labels: map[string]string{"zone": "a"}})
	zoneB := f.hire(crew{Workers: []string{"zone-b"}, Labels: map[string]string{"zone": "b"}})
	f.awaitActive("zone-a", "zone-b")
	anywhere := &load{fleet: f, name: "anywhere", keys: 16}
	inB := &load{fleet: f, name: "in-b", keys: 8, opts: asking("zone=b")}
	onGPU := &load{fleet: f, name: "on-gpu", keys: 8, opts: asking("gpu")}
	mixed := &load{fleet: f, name: "mixed", keys: 8, opts: func(n int) []fenfa.TaskOption {
		if n%2 == 0 {
			return asking("gpu", "zone!=b")(n)
		}
		return nil
	}}
	var stops []func()
	for _, l := range []*load{anywhere, inB, onGPU, mixed} {
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
	for _, l := range []*load{anywhere, inB, onGPU, mixed} {
		submissions = append(submissions, l.submissions...)
	}
	e := f.check(allowed{repeats: true}, submissions...)
	for _, finding := range f.misplaced(e) {
		t.Error(finding)
	}
	f.dismiss(zoneA, zoneB, last)
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
