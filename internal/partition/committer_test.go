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

// heldStore is a store whose commits wait, until let is called, while they have a
// partition that is held. It belongs to the bubble in which it was made: what waits for
// a channel from outside of it would never count as waiting there.
type heldStore struct {
	store.Store

	held  []int
	fails map[int]error
	gone  chan struct{} // closed by let
	let   func()

	mu    sync.Mutex
	calls [][]int // the partitions of each commit
}

func newHeldStore(held ...int) *heldStore {
	gone := make(chan struct{})
	return &heldStore{held: held, gone: gone, let: sync.OnceFunc(func() { close(gone) })}
}

func (s *heldStore) Commit(_ context.Context, batches []store.Batch) error {
	var parts []int
	failed := map[int]error{}
	for i := range batches {
		part := batches[i].Part
		parts = append(parts, part)
		if err := s.fails[part]; err != nil {
			failed[i] = err
		}
	}
	slices.Sort(parts)
	s.mu.Lock()
	s.calls = append(s.calls, parts)
	s.mu.Unlock()
	if slices.ContainsFunc(parts, func(part int) bool { return slices.Contains(s.held, part) }) {
		<-s.gone
	}
	if len(failed) > 0 {
		return &store.CommitError{Failed: failed}
	}
	return nil
}

// groupedStore keeps every partition in one of three groups.
type groupedStore struct{ *heldStore }

func (s *groupedStore) Group(part int) int { return part % 3 }

// committed is a committer that runs, and what became of each batch.
type committed struct {
	c    *committer
	stop context.CancelFunc
	mu   sync.Mutex
	done map[int][]error // by partition
}

// newCommitted runs a committer over s, in a bubble. When the test ends, however it
// does, nothing is held any more, and the committer ends.
func newCommitted(t *testing.T, s store.Store, held *heldStore) *committed {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	x := &committed{c: newCommitter(s), stop: stop, done: map[int][]error{}}
	var group sync.WaitGroup
	group.Go(func() { x.c.run(ctx) })
	t.Cleanup(func() {
		held.let()
		stop()
		group.Wait()
	})
	return x
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
	const rounds = 3 * commitsInFlight // more than may be under way
	synctest.Test(t, func(t *testing.T) {
		var still []int
		for n := range rounds {
			still = append(still, 1+3*n)
		}
		s := &groupedStore{newHeldStore(still...)}
		x := newCommitted(t, s, s.heldStore)
		for n, part := range still {
			x.submit(0, part, 2)
			if len(x.of(0)) != n+1 || len(x.of(2)) != n+1 || x.of(part) != nil {
				t.Fatalf("after %d rounds: partition 0 has %d answers, 2 has %d, the one that stands still %d",
					n+1, len(x.of(0)), len(x.of(2)), len(x.of(part)))
			}
		}
		s.let()
		synctest.Wait()
		for _, part := range still {
			if got := x.of(part); len(got) != 1 || got[0] != nil {
				t.Errorf("partition %d, which stood still, was answered %v", part, got)
			}
		}
		for _, parts := range s.calls {
			if slices.ContainsFunc(parts, func(part int) bool { return part%3 != parts[0]%3 }) {
				t.Errorf("one commit has partitions %v, of different groups", parts)
			}
		}
	})
}

func TestWithoutGroupsEverythingSharesACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newHeldStore(9)
		x := newCommitted(t, s, s)
		for range commitsInFlight {
			x.submit(9)
		}
		x.submit(0, 1, 2, 3, 4) // these gather, because there is no room
		if len(s.calls) != commitsInFlight || x.of(0) != nil {
			t.Fatalf("commits %v", s.calls)
		}
		s.let()
		synctest.Wait()
		if last := s.calls[len(s.calls)-1]; !slices.Equal(last, []int{0, 1, 2, 3, 4}) {
			t.Errorf("the last commit has partitions %v", last)
		}
	})
}

func TestEachBatchHearsItsOwnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &groupedStore{newHeldStore(0)} // so that 3 and 6 share the next commits
		s.fails = map[int]error{3: store.ErrFenced}
		x := newCommitted(t, s, s.heldStore)
		for range commitsInFlight {
			x.submit(0)
		}
		x.submit(3, 6)
		s.let()
		synctest.Wait()
		if last := s.calls[len(s.calls)-1]; !slices.Equal(last, []int{3, 6}) {
			t.Errorf("the last commit has partitions %v", last)
		}
		for part, want := range map[int]error{3: store.ErrFenced, 6: nil} {
			if got := x.of(part); len(got) != 1 || !errors.Is(got[0], want) {
				t.Errorf("partition %d was answered %v, want %v", part, got, want)
			}
		}
	})
}

func TestAClosedCommitterAnswersWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &groupedStore{newHeldStore(1)}
		x := newCommitted(t, s, s.heldStore)
		for range commitsInFlight + 1 {
			x.submit(1)
		}
		x.stop()
		synctest.Wait()
		if got := x.of(1); len(got) != 1 || !errors.Is(got[0], store.ErrClosed) {
			t.Errorf("what could not begin was answered %v", got)
		}
		x.submit(0)
		if got := x.of(0); len(got) != 1 || !errors.Is(got[0], store.ErrClosed) {
			t.Errorf("what came later was answered %v", got)
		}
		s.let()
		synctest.Wait()
		if got := x.of(1); len(got) != commitsInFlight+1 {
			t.Errorf("partition 1 was answered %d times, want %d", len(got), commitsInFlight+1)
		}
	})
}
