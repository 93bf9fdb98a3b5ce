package partition

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// fakeMover moves what a test says.
type fakeMover struct {
	begun error
	left  []store.Move // by an earlier process
	move  func(ctx context.Context, part int, hooks store.MoveHooks) error
}

func (*fakeMover) Shards() []string { return []string{"db0", "db1"} }

func (*fakeMover) Placements(context.Context) ([]store.Placement, error) {
	return []store.Placement{{Part: 0, Shard: 1}}, nil
}

func (m *fakeMover) Moves(context.Context) ([]store.Move, error) { return m.left, nil }

func (m *fakeMover) BeginMove(_ context.Context, part, to int) (store.Move, error) {
	return store.Move{Part: part, To: to}, m.begun
}

func (m *fakeMover) Move(ctx context.Context, part int, hooks store.MoveHooks) error {
	return m.move(ctx, part, hooks)
}

// move returns what the engine tells of the move of partition 0.
func (r *engineRig) move() (found Move) {
	r.t.Helper()
	shards, err := r.e.Shards(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, m := range shards.Moves {
		if m.Part == 0 {
			found = m
		}
	}
	return found
}

func TestNobodyOwnsAPartitionWhileItIsFrozen(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		claims := r.e.owners[0].current().fence.Epoch
		r.e.moves.mover = &fakeMover{move: func(ctx context.Context, part int, hooks store.MoveHooks) error {
			thaw, err := hooks.Freeze(ctx)
			if err != nil {
				return err
			}
			hooks.Step(store.MoveFrozen)
			hooks.Rows(30, 20)
			if r.e.owners[part].current() != nil || r.e.owners[1].current() == nil {
				t.Error("the wrong partition is frozen")
			}
			if _, err := hooks.Freeze(ctx); !errors.Is(err, errHeldTwice) {
				t.Errorf("frozen twice: %v", err)
			}
			r.e.wait(ctx, time.Hour)
			if r.e.owners[part].current() != nil {
				t.Error("it was claimed while it was frozen")
			}
			thaw()
			return nil
		}}
		if _, err := r.e.MovePartition(t.Context(), 0, 1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if m := r.move(); m.Step != store.MoveFrozen || m.Compared != 30 || m.Written != 20 || !m.Ended.IsZero() || m.To != 1 {
			t.Errorf("under way: %+v", m)
		}
		r.wait(time.Hour)
		synctest.Wait()
		if own := r.e.owners[0].current(); own == nil || own.fence.Epoch != claims+1 {
			t.Errorf("it is not claimed once more: %v", own)
		}
		if m := r.move(); m.Paused != time.Hour || m.Ended.IsZero() || m.Error != "" {
			t.Errorf("at the end: %+v", m)
		}
	})
}

// TestAMoveThatStandsStillGoesOn fails a move that is not undone, and goes on with it.
func TestAMoveThatStandsStillGoesOn(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		calls := 0
		mover := &fakeMover{left: []store.Move{{Part: 0, To: 1}}}
		mover.move = func(context.Context, int, store.MoveHooks) error {
			if calls++; calls < 3 {
				return errInjected
			}
			return nil
		}
		r.e.moves.mover = mover
		if _, err := r.e.MovePartition(t.Context(), 0, 1); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Minute)
		synctest.Wait()
		if m := r.move(); calls != 3 || m.Error != "" || m.Ended.IsZero() {
			t.Errorf("%d calls, %+v", calls, m)
		}
	})
}

func TestAMoveThatWasUndoneSaysWhy(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		r.e.moves.mover = &fakeMover{move: func(context.Context, int, store.MoveHooks) error { return errInjected }}
		if _, err := r.e.MovePartition(t.Context(), 0, 1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if m := r.move(); m.Error != errInjected.Error() || m.Ended.IsZero() {
			t.Errorf("it says %+v", m)
		}
	})
}

// TestAMoveEndsWithTheEngineAndIsCarriedOn stops an engine while a partition is
// frozen.
func TestAMoveEndsWithTheEngineAndIsCarriedOn(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		calls := 0
		r.e.moves.mover = &fakeMover{left: []store.Move{{Part: 0, To: 1}, {Part: 7}}, move: func(ctx context.Context, _ int, hooks store.MoveHooks) error {
			calls++
			thaw, err := hooks.Freeze(ctx)
			if err != nil {
				return err
			}
			defer thaw()
			<-ctx.Done()
			return ctx.Err()
		}}
		if err := r.e.moves.resume(t.Context(), r.e.moves.run); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.stop()
		if m := r.move(); calls != 1 || !m.Ended.IsZero() || m.Error != "" {
			t.Errorf("%d calls, %+v", calls, m)
		}
		if _, err := r.e.MovePartition(t.Context(), 0, 1); task.CodeOf(err) != task.CodeUnavailable {
			t.Errorf("a move after the end: %v", err)
		}
	})
}

func TestMovesThatAreRefusedSayWhy(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		_, err := r.e.Shards(t.Context())
		_, moveErr := r.e.MovePartition(t.Context(), 0, 1)
		for _, err := range []error{err, moveErr} {
			if task.CodeOf(err) != task.CodeFailedPrecondition || !strings.Contains(err.Error(), "embedded store") {
				t.Errorf("without shards: %v", err)
			}
		}
		for _, c := range []struct {
			part  int
			begun error
			code  task.Code
			says  string
		}{
			{0, store.ErrNoShard, task.CodeInvalidArgument, "shards 0 to 1"},
			{0, store.ErrPlaced, task.CodeFailedPrecondition, "on shard 5 already"},
			{0, store.ErrMoving, task.CodeFailedPrecondition, "being moved"},
			{0, errInjected, task.CodeUnavailable, "could not begin"},
			{1, nil, task.CodeInvalidArgument, "partitions 0 to 0"},
			{-1, nil, task.CodeInvalidArgument, "partitions 0 to 0"},
		} {
			r.e.moves.mover = &fakeMover{begun: fmt.Errorf("begin: %w", c.begun)}
			if _, err := r.e.MovePartition(t.Context(), c.part, 5); task.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v: %v", c.begun, err)
			}
		}
	})
}
