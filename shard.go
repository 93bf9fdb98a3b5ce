package fenfa

import (
	"context"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Shards is where the partitions of a node are, when its state is in databases.
type Shards struct {
	Addresses  []string // of each shard, by number: host, port and database
	Placements []ShardPlacement
	Moves      []ShardMove
}

// ShardPlacement is where a partition is, and how far.
type ShardPlacement struct {
	Partition int
	Shard     int
	Epoch     uint64 // grows with every claim of the partition
	Seq       uint64 // number of the last change of its op log
}

// ShardMove is a move of a partition to another shard: one that is under way, or the
// latest that has ended since the node started.
type ShardMove struct {
	Partition, From, To int

	Step     string // what was done last: "begun", "prepared", "copied", "compared", "frozen", "settled", "activated", "flipped" or "cleared"
	BeganAt  time.Time
	EndedAt  time.Time // zero: it is under way
	Compared int64     // rows of the source that were read so far; each is read twice
	Written  int64     // rows that were written to the target, or deleted there
	Paused   time.Duration
	Error    string // why it was undone; empty: it was not
}

// Shards tells where the partitions are, and which are being moved. With the embedded
// store it fails with CodeFailedPrecondition.
func (c *Client) Shards(ctx context.Context) (Shards, error) {
	resp, err := call(ctx, c, "list shards", c.shards.List, &fenfav1.ListShardsRequest{})
	if err != nil {
		return Shards{}, err
	}
	var s Shards
	for _, sh := range resp.GetShards() {
		s.Addresses = append(s.Addresses, sh.GetAddress())
	}
	for _, p := range resp.GetPlacements() {
		s.Placements = append(s.Placements, ShardPlacement{Partition: int(p.GetPartition()), Shard: int(p.GetShard()), Epoch: p.GetEpoch(), Seq: p.GetSeq()})
	}
	for _, m := range resp.GetMoves() {
		s.Moves = append(s.Moves, moveOf(m))
	}
	return s, nil
}

// MovePartition begins to move a partition to another shard, and returns at once.
// Shards tells how it goes on; a node that ends meanwhile carries it on when it starts
// again. CodeFailedPrecondition says that the partition is there already, or is being
// moved.
func (c *Client) MovePartition(ctx context.Context, partition, to int) (ShardMove, error) {
	req := &fenfav1.MovePartitionRequest{Partition: clampUint32(partition), To: clampUint32(to)}
	resp, err := call(ctx, c, "move partition", c.shards.Move, req)
	if err != nil {
		return ShardMove{}, err
	}
	return moveOf(resp.GetMove()), nil
}

func moveOf(m *fenfav1.ShardMove) ShardMove {
	return ShardMove{
		Partition: int(m.GetPartition()), From: int(m.GetFrom()), To: int(m.GetTo()), Step: m.GetStep(),
		BeganAt: timeOf(m.GetBeganAt()), EndedAt: timeOf(m.GetEndedAt()), Compared: m.GetCompared(), Written: m.GetWritten(),
		Paused: m.GetPaused().AsDuration(), Error: m.GetError(),
	}
}
