package partition

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/fenfa/fenfa/internal/store"
)

// heldStore is a store whose commits wait while they have a partition that is held.
type heldStore struct {
	store.Store

	mu    sync.Mutex
	calls [][]int // the partitions of each commit
	held  map[int]chan struct{}
	fails map[int]error
}

func (s *heldStore) Commit(_ context.Context, batches []store.Batch) error {
	s.mu.Lock()
	var parts []int
	var waits []chan struct{}
	failed := map[int]error{}
	for i := range batches {
		part := batches[i].Part
		parts = append(parts, part)
		if ch := s.held[part]; ch != nil {
			waits = append(waits, ch)
		}
		if err := s.fails[part]; err != nil {
			failed[i] = err
		}
	}
	slices.Sort(parts)
	s.calls = append(s.calls, parts)
	s.mu.Unlock()
	for _, ch := range waits {
		<-ch
	}
	if len(failed) > 0 {
		return &store.CommitError{Failed: failed}
	}
	return nil
}

// groupedStore keeps every partition in one of three groups.
type groupedStore struct{ heldStore }

func (s *groupedStore) Group(part int) int { return part % 3 }

// committed is a committer, and what became of each batch.
type committed struct {
	c    *committer
	mu   sync.Mutex
	done map[int][]error // by partition
}

// withCommitter runs a test with a committer over a store.
func withCommitter(t *testing.T, s store.Store, f func(x *committed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x := &committed{c: newCommitter(s), done: map[int][]error{}}
		ctx, stop := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { x.c.run(ctx) })
		synctest.Wait()
		f(x)
		stop()
		group.Wait()
	})
}

// submit hands in one batch of each partition, and lets happen what can.
func (x *committed) submit(parts ...int) {
	for _, part := range parts {
		x.c.submit(store.Batch{Part: part}, func(err error) {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.done[part] = append(x.done[part], err)
		})
	}
	synctest.Wait()
}

// of returns what became of a partition's batches.
func (x *committed) of(part int) []error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.done[part]
}

func TestAGroupThatStandsStillHoldsNoOtherUp(t *testing.T) {
	held := make(chan struct{})
	s := &groupedStore{heldStore{held: map[int]chan struct{}{}}}
	for n := range 3 * commitsInFlight {
		s.held[1+3*n] = held
	}
	withCommitter(t, s, func(x *committed) {
		for n := range 3 * commitsInFlight { // more than may be under way
			x.submit(0, 1+3*n, 2)
			if len(x.of(0)) != n+1 || len(x.of(2)) != n+1 || x.of(1+3*n) != nil {
				t.Fatalf("after %d rounds: partition 0 has %d answers, 2 has %d, the one that stands still %d",
					n+1, len(x.of(0)), len(x.of(2)), len(x.of(1+3*n)))
			}
		}
		close(held)
		synctest.Wait()
		for n := range 3 * commitsInFlight {
			if got := x.of(1 + 3*n); len(got) != 1 || got[0] != nil {
				t.Errorf("partition %d, which stood still, was answered %v", 1+3*n, got)
			}
		}
	})
	for _, parts := range s.calls {
		if slices.ContainsFunc(parts, func(part int) bool { return part%3 != parts[0]%3 }) {
			t.Errorf("one commit has partitions %v, of different groups", parts)
		}
	}
}

func TestWithoutGroupsEverythingSharesACommit(t *testing.T) {
	held := make(chan struct{})
	s := &heldStore{held: map[int]chan struct{}{9: held}}
	withCommitter(t, s, func(x *committed) {
		for range commitsInFlight {
			x.submit(9)
		}
		x.submit(0, 1, 2, 3, 4) // these gather, because there is no room
		if len(s.calls) != commitsInFlight || x.of(0) != nil {
			t.Fatalf("commits %v", s.calls)
		}
		close(held)
		synctest.Wait()
	})
	if last := s.calls[len(s.calls)-1]; !slices.Equal(last, []int{0, 1, 2, 3, 4}) {
		t.Errorf("the last commit has partitions %v", last)
	}
}

func TestEachBatchHearsItsOwnError(t *testing.T) {
	s := &groupedStore{heldStore{fails: map[int]error{3: store.ErrFenced}}}
	withCommitter(t, s, func(x *committed) {
		x.submit(0, 3, 6)
		for part, want := range map[int]error{0: nil, 3: store.ErrFenced, 6: nil} {
			if got := x.of(part); len(got) != 1 || !errors.Is(got[0], want) {
				t.Errorf("partition %d was answered %v, want %v", part, got, want)
			}
		}
	})
}

func TestAClosedCommitterAnswersWhatIsLeft(t *testing.T) {
	held := make(chan struct{})
	s := &groupedStore{heldStore{held: map[int]chan struct{}{1: held}}}
	var x *committed
	synctest.Test(t, func(t *testing.T) {
		x = &committed{c: newCommitter(s), done: map[int][]error{}}
		ctx, stop := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { x.c.run(ctx) })
		for range commitsInFlight + 1 {
			x.submit(1)
		}
		stop()
		synctest.Wait()
		if got := x.of(1); len(got) != 1 || !errors.Is(got[0], store.ErrClosed) {
			t.Errorf("what could not begin was answered %v", got)
		}
		x.submit(0)
		if got := x.of(0); len(got) != 1 || !errors.Is(got[0], store.ErrClosed) {
			t.Errorf("what came later was answered %v", got)
		}
		close(held)
		group.Wait()
		synctest.Wait()
	})
	if got := x.of(1); len(got) != commitsInFlight+1 {
		t.Errorf("partition 1 was answered %d times, want %d", len(got), commitsInFlight+1)
	}
}
