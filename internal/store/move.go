package store

import (
	"context"
	"errors"
	"time"
)

// Sentinels of moves; drivers wrap them.
var (
	// ErrNoShard says that there is no shard with this number.
	ErrNoShard = errors.New("there is no such shard")
	// ErrPlaced says that the partition is on the shard already.
	ErrPlaced = errors.New("the partition is there already")
	// ErrMoving says that a move of the partition is under way.
	ErrMoving = errors.New("the partition is being moved")
	// ErrNoMove says that no move of the partition is under way.
	ErrNoMove = errors.New("no move of the partition is under way")
)

// Mover is implemented by drivers that spread partitions over shards and can move
// them. A move is durable from BeginMove on: whatever ends before it does, it is
// carried on by the next call of Move, in this process or a later one.
type Mover interface {
	// Shards returns where each shard is, by number, without secrets.
	Shards() []string
	// Placements returns the partitions that were used, by number, and where they are.
	Placements(ctx context.Context) ([]Placement, error)
	// Moves returns those that were begun and have not ended, by partition.
	Moves(ctx context.Context) ([]Move, error)
	// BeginMove writes down that a partition is to be moved. It fails with ErrNoShard,
	// ErrPlaced or ErrMoving.
	BeginMove(ctx context.Context, part, to int) (Move, error)
	// Move carries a move out that was begun. The caller owns the partition by a claim
	// of this store. After an error the move was undone, unless Moves still has it: then
	// it can be carried on. One that wraps ErrFenced says that this is for another
	// process.
	Move(ctx context.Context, part int, hooks MoveHooks) error
}

// Placement is where a partition is, and how far.
type Placement struct {
	Part  int
	Shard int
	Fence
}

// Move is a partition on its way from one shard to another.
type Move struct {
	Part, From, To int
	Began          time.Time
}

// MoveHooks are how a move speaks to the owner of its partition.
type MoveHooks struct {
	// Freeze makes the owner let go of the partition, and returns when it commits
	// nothing more. The function that it returns lets the partition be claimed again;
	// it is called exactly once.
	Freeze func(ctx context.Context) (thaw func(), err error)
	// Step is told when a step is done, from the goroutine of Move.
	Step func(MoveStep)
	// Rows is told how many rows were compared and how many were written or deleted
	// since it was told last, from the goroutine of Move.
	Rows func(compared, written int)
}

// MoveStep is how far a move is: what was done last.
type MoveStep uint8

// The steps, in their order. Until MoveActivated a move can be undone; after that it
// goes forward only.
const (
	MoveBegun     MoveStep = iota // it is written down
	MovePrepared                  // the target takes copies, and nobody can claim them
	MoveCopied                    // everything was copied once
	MoveCompared                  // both sides were compared row by row
	MoveFrozen                    // nobody can commit at the source any more
	MoveSettled                   // the last changes were copied and compared
	MoveActivated                 // the target may be claimed
	MoveFlipped                   // the map names the target
	MoveCleared                   // the source has no rows of the partition any more
)

// String returns the step in lower case.
func (s MoveStep) String() string {
	names := [...]string{"begun", "prepared", "copied", "compared", "frozen", "settled", "activated", "flipped", "cleared"}
	if int(s) < len(names) {
		return names[s]
	}
	return "?"
}
