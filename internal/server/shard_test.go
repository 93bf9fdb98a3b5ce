package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

func someMove(part, to int) partition.Move {
	return partition.Move{Move: store.Move{Part: part, From: 1, To: to, Began: time.Unix(1_700_000_000, 0)}}
}

func (e *fakeEngine) Shards(context.Context) (partition.Shards, error) {
	ended := someMove(4, 0)
	ended.Step, ended.Compared, ended.Written, ended.Paused = store.MoveCleared, 20, 10, time.Second
	ended.Ended, ended.Error = time.Unix(1_700_000_001, 0), "why"
	return partition.Shards{
		Addresses:  []string{"db1:3306/fenfa", "db2:3306/fenfa"},
		Placements: []store.Placement{{Part: 3, Shard: 1, Fence: store.Fence{Epoch: 5, Seq: 6}}},
		Moves:      []partition.Move{someMove(3, 0), ended},
	}, e.err
}

func (e *fakeEngine) MovePartition(_ context.Context, part, to int) (partition.Move, error) {
	e.called(fmt.Sprint("move ", part, " to ", to))
	return someMove(part, to), e.err
}

func TestShardsOverGRPC(t *testing.T) {
	h := newHarness(t)
	c := fenfav1.NewShardServiceClient(h.conn)
	got, err := c.List(t.Context(), &fenfav1.ListShardsRequest{})
	if err != nil || len(got.GetShards()) != 2 || len(got.GetPlacements()) != 1 || len(got.GetMoves()) != 2 {
		t.Fatalf("list: %v, %v", got, err)
	}
	if s := got.GetShards()[1]; s.GetNumber() != 1 || s.GetAddress() != "db2:3306/fenfa" {
		t.Errorf("the shard is %v", s)
	}
	if p := got.GetPlacements()[0]; p.GetPartition() != 3 || p.GetShard() != 1 || p.GetEpoch() != 5 || p.GetSeq() != 6 {
		t.Errorf("the placement is %v", p)
	}
	running, ended := got.GetMoves()[0], got.GetMoves()[1]
	if running.GetPartition() != 3 || running.GetFrom() != 1 || running.GetStep() != "begun" || running.EndedAt != nil || running.Paused != nil || running.GetBeganAt().AsTime().Unix() != 1_700_000_000 {
		t.Errorf("the move under way is %v", running)
	}
	if ended.GetStep() != "cleared" || ended.GetCompared() != 20 || ended.GetWritten() != 10 || ended.GetPaused().AsDuration() != time.Second ||
		ended.GetEndedAt().AsTime().Unix() != 1_700_000_001 || ended.GetError() != "why" {
		t.Errorf("the move that has ended is %v", ended)
	}
	began, err := c.Move(t.Context(), &fenfav1.MovePartitionRequest{Partition: 7, To: 2})
	if err != nil || began.GetMove().GetPartition() != 7 || began.GetMove().GetTo() != 2 {
		t.Errorf("move: %v, %v", began, err)
	}
	if want := []string{"move 7 to 2"}; !slices.Equal(h.engine.calls, want) {
		t.Errorf("calls %q, want %q", h.engine.calls, want)
	}
}

func TestErrorsOfTheEngineReachShards(t *testing.T) {
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		e.err = task.Errorf(task.CodeFailedPrecondition, "the embedded store has no shards")
	})
	c := fenfav1.NewShardServiceClient(h.conn)
	_, err := c.List(t.Context(), &fenfav1.ListShardsRequest{})
	refused(t, err, codes.FailedPrecondition, task.CodeFailedPrecondition)
	_, err = c.Move(t.Context(), &fenfav1.MovePartitionRequest{})
	refused(t, err, codes.FailedPrecondition, task.CodeFailedPrecondition)
}

func TestShardsOverHTTP(t *testing.T) {
	h := newHarness(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{http.MethodGet, "/v1/shards", "", 200, `"address":"db1:3306/fenfa"`},
		{http.MethodGet, "/v1/shards?nonsense=1", "", 400, `nonsense`},
		{http.MethodPost, "/v1/shards/moves", `{"partition":3,"to":1}`, 200, `"step":"begun"`},
		{http.MethodPost, "/v1/shards/moves", `{"part":3}`, 400, `part`},
	} {
		r := h.do(t, c.method, c.path, strings.NewReader(c.body))
		if r.status != c.status || !strings.Contains(strings.ReplaceAll(r.body, " ", ""), c.says) {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.status, r.body)
		}
	}
}
