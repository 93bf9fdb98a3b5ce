package shards

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/tests/harness"
)

// awaitMove waits until no move of the partition is under way.
func (l *load) awaitMove() (m fenfa.ShardMove, shards fenfa.Shards) {
	l.t.Helper()
	harness.Await(l.t, "the move has ended", func(ctx context.Context) bool {
		s, err := l.client.Shards(ctx)
		if err != nil {
			return false
		}
		shards, m = s, fenfa.ShardMove{}
		i := slices.IndexFunc(s.Moves, func(m fenfa.ShardMove) bool { return m.Partition == part })
		if i >= 0 {
			m = s.Moves[i]
		}
		return i < 0 || !m.EndedAt.IsZero()
	})
	return m, shards
}

// arrived holds that the partition is on a shard.
func (l *load) arrived(s *fenfa.Shards, shard int) {
	l.t.Helper()
	i := slices.IndexFunc(s.Placements, func(p fenfa.ShardPlacement) bool { return p.Partition == part })
	if i < 0 || s.Placements[i].Shard != shard {
		l.t.Errorf("the partitions are at %+v", s.Placements)
	}
}

// TestAPartitionGoesAroundUnderLoad moves a partition over all shards and back, while
// tasks change its records.
func TestAPartitionGoesAroundUnderLoad(t *testing.T) {
	l := newLoad(t)
	l.start()
	l.grown(200)
	for _, to := range []int{1, 2, 0} {
		if _, err := l.client.MovePartition(t.Context(), part, to); err != nil {
			t.Fatal(err)
		}
		m, s := l.awaitMove()
		if m.Error != "" || m.Step != "cleared" || m.Written == 0 || m.Paused == 0 {
			t.Errorf("the move is %+v", m)
		}
		l.arrived(&s, to)
		l.grown(200)
		t.Logf("to shard %d: %d rows written, paused for %v", to, m.Written, m.Paused)
	}
	l.finish()
}

// TestAMoveIsCarriedOnWhereverTheNodeDies kills the node after each step of a move
// under load, and starts it again.
func TestAMoveIsCarriedOnWhereverTheNodeDies(t *testing.T) {
	for _, step := range []string{"begun", "prepared", "copied", "compared", "frozen", "settled", "activated", "flipped", "cleared"} {
		t.Run(step, func(t *testing.T) {
			l := newLoad(t, "FENFA_TEST_DIE_AT=move-"+step+":1")
			l.start()
			l.grown(100)
			// The answer may be lost with the node.
			if _, err := l.client.MovePartition(t.Context(), part, 1); err != nil && fenfa.CodeOf(err) != fenfa.CodeUnavailable {
				t.Fatal(err)
			}
			harness.Await(t, "the node is dead", func(context.Context) bool {
				select {
				case <-l.node.Done():
					return true
				default:
					return false
				}
			})
			l.node.Env = nil
			l.node.Start()
			m, s := l.awaitMove()
			if m.Error != "" {
				t.Errorf("the move was undone: %s", m.Error)
			}
			l.arrived(&s, 1)
			l.grown(100)
			l.finish()
		})
	}
}

// TestMovesThatCannotBeAreRefused asks the real node for what it refuses.
func TestMovesThatCannotBeAreRefused(t *testing.T) {
	l := newLoad(t)
	for says, c := range map[string]struct {
		partition, to int
		code          fenfa.Code
	}{
		"partitions 0 to 15": {16, 1, fenfa.CodeInvalidArgument},
		"shards 0 to 2":      {part, 3, fenfa.CodeInvalidArgument},
		"on shard 0 already": {part, 0, fenfa.CodeFailedPrecondition},
	} {
		if _, err := l.client.MovePartition(t.Context(), c.partition, c.to); fenfa.CodeOf(err) != c.code || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
}
