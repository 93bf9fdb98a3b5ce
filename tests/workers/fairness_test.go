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

const (
	flood, few  = "flood", "few"
	sharedSlots = 8 // of both workers together
)

// TestAFloodInOneQueueLeavesOthersTheirShare fills one queue with far more than its
// workers can do, and then another one that is served by the same workers. Both go
// on in proportion to their shares: counted in jobs, not in time.
func TestAFloodInOneQueueLeavesOthersTheirShare(t *testing.T) {
	for _, share := range []float64{1, 3} {
		t.Run(fmt.Sprintf("share %v", share), func(t *testing.T) {
			f := newFleet(t, fenfa.Queue{Name: flood}, fenfa.Queue{Name: few, Share: share})
			crews := f.hirePair()
			all := f.submitKeys(flood, 1500, job{Work: 10 * time.Millisecond})
			f.awaitProgress(20, crews...)
			late := f.submitKeys(few, 200, job{Work: 10 * time.Millisecond})
			f.awaitDone(late...)
			f.expectShare(f.check(allowed{}, append(all, late...)...), share, len(late))
			f.dismiss(crews...)
		})
	}
}

// TestSharesHoldWhereWorkersPrefetch gives workers jobs so short that they want
// more than they have slots for. Both queues are full before the workers come.
func TestSharesHoldWhereWorkersPrefetch(t *testing.T) {
	for _, share := range []float64{1, 3} {
		t.Run(fmt.Sprintf("share %v", share), func(t *testing.T) {
			f := newFleet(t, fenfa.Queue{Name: flood}, fenfa.Queue{Name: few, Share: share})
			all := f.submitKeys(flood, 2000, job{Work: time.Millisecond})
			late := f.submitKeys(few, 600, job{Work: time.Millisecond})
			crews := f.hirePair()
			f.awaitWorkers("a worker prefetches", func(all map[string]fenfa.WorkerInfo) bool {
				return all["worker-1"].Prefetch+all["worker-2"].Prefetch > 0
			})
			f.awaitDone(late...)
			f.expectShare(f.check(allowed{}, append(all, late...)...), share, len(late))
			f.dismiss(crews...)
		})
	}
}

// hirePair starts the two workers that both queues share.
func (f *fleet) hirePair() []*process {
	f.t.Helper()
	crews := []*process{
		f.hire(crew{Workers: []string{"worker-1"}, Slots: sharedSlots / 2}),
		f.hire(crew{Workers: []string{"worker-2"}, Slots: sharedSlots / 2}),
	}
	f.awaitActive("worker-1", "worker-2")
	return crews
}

// expectShare checks that while so many jobs of the few ended, with this share to
// the flood's 1, the flood neither took much more than its own nor got less than
// half of it.
func (f *fleet) expectShare(e *evidence, share float64, others int) {
	f.t.Helper()
	meanwhile := float64(endedWhile(e, flood, few))
	fair := float64(others) / share
	// A half more than its share, and what was in the slots when it began.
	least, most := fair/2, 1.5*fair+2*sharedSlots
	if meanwhile < least || meanwhile > most {
		f.t.Errorf("%v jobs of the flood ended while %d others did, want between %v and %v", meanwhile, others, least, most)
	}
	f.t.Logf("%v jobs of the flood ended while %d others did; %v would be exactly fair", meanwhile, others, fair)
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
