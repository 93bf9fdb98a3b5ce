package workers

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	fenfa "github.com/fenfa/fenfa"
)

// submitKeys submits one job to each of many keys.
func (f *fleet) submitKeys(queue string, keys int, j job) []submission {
	f.t.Helper()
	j.N = 1
	all := make([]submission, keys)
	var group errgroup.Group
	group.SetLimit(64)
	for i := range all {
		group.Go(func() error {
			all[i] = f.submit(queue, fmt.Sprintf("%s-%04d", queue, i), j)
			return nil
		})
	}
	_ = group.Wait() // It never fails; submit fails the test.
	return all
}

// TestAFloodInOneQueueLeavesOthersTheirShare fills one queue with far more than its
// workers can do, and then another one that is served by the same workers. Both go
// on in proportion to their shares: counted in jobs, not in time.
func TestAFloodInOneQueueLeavesOthersTheirShare(t *testing.T) {
	const (
		flood, few = "flood", "few"
		crowd      = 1500 // jobs of the flood
		jobsOfFew  = 200
		slots      = 8 // of both workers together
	)
	for _, share := range []float64{1, 3} {
		t.Run(fmt.Sprintf("share %v", share), func(t *testing.T) {
			f := newFleet(t, fenfa.Queue{Name: flood}, fenfa.Queue{Name: few, Share: share})
			crews := []*process{
				f.hire(crew{Workers: []string{"worker-1"}, Slots: slots / 2}),
				f.hire(crew{Workers: []string{"worker-2"}, Slots: slots / 2}),
			}
			f.awaitActive("worker-1", "worker-2")
			all := f.submitKeys(flood, crowd, job{Work: 10 * time.Millisecond})
			f.awaitProgress(20, crews...)
			late := f.submitKeys(few, jobsOfFew, job{Work: 10 * time.Millisecond})
			f.awaitDone(late...)
			e := f.check(allowed{}, append(all, late...)...)

			meanwhile := endedWhile(e, flood, few)
			fair := float64(jobsOfFew) / share
			// A half more than its share, and what was in the slots when it began.
			if most := 1.5*fair + 2*slots; float64(meanwhile) > most {
				t.Errorf("%d jobs of the flood ended while %d others did, want at most %v", meanwhile, jobsOfFew, most)
			}
			t.Logf("%d jobs of the flood ended while %d others did; %v would be exactly fair", meanwhile, jobsOfFew, fair)
			f.dismiss(crews...)
		})
	}
}

// endedWhile counts the runs of one queue that ended between the first begin and
// the last end of another's.
func endedWhile(e *evidence, queue, other string) int {
	var first, last int64
	for _, run := range e.runs {
		if run.Queue == other {
			if first == 0 || run.Start < first {
				first = run.Start
			}
			last = max(last, run.End)
		}
	}
	n := 0
	for _, run := range e.runs {
		if run.Queue == queue && run.End > first && run.End < last {
			n++
		}
	}
	return n
}
