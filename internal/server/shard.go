package server

import (
	"context"
	"math"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
)

// shardService implements fenfa.v1.ShardService.
type shardService struct {
	fenfav1.UnimplementedShardServiceServer
	*Server
}

// List returns where the partitions are, and their moves.
func (s *shardService) List(ctx context.Context, _ *fenfav1.ListShardsRequest) (*fenfav1.ListShardsResponse, error) {
	now, err := s.cfg.Engine.Shards(ctx)
	if err != nil {
		return nil, err
	}
	resp := &fenfav1.ListShardsResponse{}
	for i, address := range now.Addresses {
		resp.Shards = append(resp.Shards, &fenfav1.Shard{Number: uint32(i), Address: text(address)})
	}
	for i := range now.Placements {
		p := &now.Placements[i]
		resp.Placements = append(resp.Placements, &fenfav1.ShardPlacement{Partition: uint32(p.Part), Shard: uint32(p.Shard), Epoch: p.Epoch, Seq: p.Seq})
	}
	for i := range now.Moves {
		resp.Moves = append(resp.Moves, moveToWire(&now.Moves[i]))
	}
	return resp, nil
}

// Move begins to move a partition.
func (s *shardService) Move(ctx context.Context, req *fenfav1.MovePartitionRequest) (*fenfav1.MovePartitionResponse, error) {
	mv, err := s.cfg.Engine.MovePartition(ctx, int(min(req.GetPartition(), math.MaxInt32)), int(min(req.GetTo(), math.MaxInt32)))
	if err != nil {
		return nil, err
	}
	return &fenfav1.MovePartitionResponse{Move: moveToWire(&mv)}, nil
}

func moveToWire(m *partition.Move) *fenfav1.ShardMove {
	w := &fenfav1.ShardMove{
		Partition: uint32(m.Part), From: uint32(m.From), To: uint32(m.To), Step: m.Step.String(), BeganAt: timeToWire(m.Began), EndedAt: timeToWire(m.Ended),
		Compared: m.Compared, Written: m.Written, Error: text(m.Error),
	}
	if m.Paused > 0 {
		w.Paused = durationpb.New(m.Paused)
	}
	return w
}
