package storefake_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/storefake"
	"github.com/fenfa/fenfa/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Harness {
		s := storefake.New(storefake.Config{AutoSync: true})
		return storetest.Harness{Store: s, Reopen: func(*testing.T) store.Store {
			s.Crash()
			return s
		}}
	})
}

func claim(t *testing.T, s *storefake.Store) store.Fence {
	t.Helper()
	fence, err := s.Claim(t.Context(), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fence
}

// start hands in a batch that puts the outbox row with this number.
func start(t *testing.T, s *storefake.Store, fence *store.Fence, seq uint64, done func(error)) {
	t.Helper()
	b := store.Batch{Part: 1, Prev: *fence, Next: *fence, Puts: []store.Row{&store.Outbox{Seq: seq}}}
	b.Next.Seq++
	b.Next.HLC++
	if err := s.Start([]store.Batch{b}, done); err != nil {
		t.Fatal(err)
	}
	*fence = b.Next
}

func seqs(t *testing.T, s *storefake.Store) []uint64 {
	t.Helper()
	rows, err := s.Load(t.Context(), store.Scan{Part: 1, Table: store.TableOutbox, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var found []uint64
	for _, r := range rows {
		found = append(found, r.(*store.Outbox).Seq)
	}
	return found
}

func TestNothingIsDurableBeforeSync(t *testing.T) {
	s := storefake.New(storefake.Config{})
	fence := claim(t, s)
	var answered []uint64
	for seq := range uint64(4) {
		start(t, s, &fence, seq, func(err error) {
			if err != nil {
				t.Errorf("commit %d: %v", seq, err)
			}
			answered = append(answered, seq)
		})
	}
	if got := seqs(t, s); got != nil || answered != nil || s.Pending() != 4 {
		t.Fatalf("before sync: rows %v, answers %v, %d pending", got, answered, s.Pending())
	}
	if n := s.SyncOldest(1); n != 1 || !slices.Equal(answered, []uint64{0}) {
		t.Fatalf("after one: synced %d, answers %v", n, answered)
	}
	if n := s.Sync(); n != 3 || !slices.Equal(answered, []uint64{0, 1, 2, 3}) || !slices.Equal(seqs(t, s), answered) {
		t.Fatalf("after all: synced %d, answers %v, rows %v", n, answered, seqs(t, s))
	}
}

func TestCrashDropsWhatIsNotDurable(t *testing.T) {
	s := storefake.New(storefake.Config{})
	fence := claim(t, s)
	start(t, s, &fence, 0, nil)
	s.Sync()
	durable := fence
	start(t, s, &fence, 1, func(error) { t.Error("a commit that was lost was answered") })
	s.Crash()
	s.Sync()
	if got := seqs(t, s); !slices.Equal(got, []uint64{0}) {
		t.Errorf("rows after the crash: %v", got)
	}
	if err := s.Start([]store.Batch{{Part: 1, Prev: durable, Next: store.Fence{Epoch: 1, Seq: 9, HLC: 9}}}, func(err error) {
		if !errors.Is(err, store.ErrFenced) {
			t.Errorf("the owner from before the crash commits: %v", err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	s.Sync()
	durable.Epoch++
	if again := claim(t, s); again != durable {
		t.Errorf("the fence after the crash is %+v, want %+v", again, durable)
	}
}

func TestCrashAnswersWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storefake.New(storefake.Config{})
		fence := claim(t, s)
		b := store.Batch{Part: 1, Prev: fence, Next: store.Fence{Epoch: fence.Epoch, Seq: 1, HLC: 1}}
		answer := make(chan error)
		go func() { answer <- s.Commit(t.Context(), []store.Batch{b}) }()
		synctest.Wait()
		if s.Pending() != 1 {
			t.Fatalf("%d calls wait, want 1", s.Pending())
		}
		s.Crash()
		if err := <-answer; !errors.Is(err, storefake.ErrCrashed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCrashMayKeepAPrefix(t *testing.T) {
	kept := map[int]bool{}
	for seed := range uint64(40) {
		s := storefake.New(storefake.Config{Seed: seed, KeepSome: true})
		fence := claim(t, s)
		for seq := range uint64(3) {
			start(t, s, &fence, seq, nil)
		}
		s.Crash()
		got := seqs(t, s)
		if want := []uint64{0, 1, 2}[:len(got)]; !slices.Equal(got, want) {
			t.Fatalf("seed %d kept %v, which is no prefix", seed, got)
		}
		if fence := claim(t, s); fence.Seq != uint64(len(got)) {
			t.Fatalf("seed %d: fence %+v with %d rows", seed, fence, len(got))
		}
		kept[len(got)] = true
	}
	if len(kept) != 4 {
		t.Errorf("crashes kept %v calls, want each of 0 to 3 sometimes", kept)
	}
}

func TestTheSameSeedCrashesTheSame(t *testing.T) {
	trace := func() (trace string) {
		s := storefake.New(storefake.Config{Seed: 5, KeepSome: true})
		for range 20 {
			fence := claim(t, s)
			for seq := range uint64(5) {
				start(t, s, &fence, fence.Seq+seq, nil)
			}
			s.Crash()
			trace += fmt.Sprintln(seqs(t, s))
		}
		return trace
	}
	if first, second := trace(), trace(); first != second {
		t.Errorf("two runs differ:\n%s\n%s", first, second)
	}
}

func TestClaimMakesEarlierCommitsDurable(t *testing.T) {
	s := storefake.New(storefake.Config{})
	fence := claim(t, s)
	start(t, s, &fence, 0, nil)
	if again := claim(t, s); again.Seq != fence.Seq {
		t.Errorf("the claim returned %+v, want seq %d", again, fence.Seq)
	}
	s.Crash()
	if got := seqs(t, s); !slices.Equal(got, []uint64{0}) {
		t.Errorf("rows: %v", got)
	}
}
