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
	unordered := &load{fleet: f, queue: loose, name: "loose", keys: 8, loose: true, work: 5 * time.Millisecond}
	stopOrdered, stopUnordered := ordered.start(), unordered.start()
	for range max(2, rounds(t, 20)/10) {
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

// policies are all that there are, consistent_hash in both ways.
func policies() []fenfa.Balance {
	var all []fenfa.Balance
	for _, policy := range fenfa.BalancePolicies() {
		all = append(all, fenfa.Balance{Policy: policy, Overflow: fenfa.OverflowNext})
	}
	return append(all, fenfa.Balance{Policy: fenfa.BalanceConsistentHash, Overflow: fenfa.OverflowWait})
}
