package workers

import (
	"testing"
	"time"

	fenfa "github.com/fenfa/fenfa"
)

// TestPoliciesAreSwitchedUnderLoad goes through all policies while tasks flow.
func TestPoliciesAreSwitchedUnderLoad(t *testing.T) {
	f := newFleet(t, fenfa.Queue{Name: jobs}, fenfa.Queue{Name: loose, Order: fenfa.OrderNone})
	crews := f.hireEach("worker-1", "worker-2", "worker-3", "worker-4")
	ordered := &load{fleet: f, work: 5 * time.Millisecond}
	unordered := &load{fleet: f, queue: loose, name: "loose", keys: 8, work: 5 * time.Millisecond}
	stopOrdered, stopUnordered := ordered.start(), unordered.start()
	for range rounds(t, 2) {
		for _, policy := range policies() {
			f.configure(fenfa.Queue{Name: jobs, Balance: policy})
			f.configure(fenfa.Queue{Name: loose, Balance: policy})
			f.awaitProgress(200, crews...)
		}
	}
	stopOrdered()
	stopUnordered()
	f.check(allowed{}, append(ordered.submissions, unordered.submissions...)...)
	f.expectEnds(nil)
	f.dismiss(crews...)
}

// loose is a queue without order.
const loose = "loose"

// policies are all that there are, with what they can be told.
func policies() []fenfa.Balance {
	return []fenfa.Balance{
		{Policy: fenfa.BalanceRoundRobin},
		{Policy: fenfa.BalanceLeastInflight},
		{Policy: fenfa.BalanceConsistentHash, Overflow: fenfa.OverflowNext},
	}
}
