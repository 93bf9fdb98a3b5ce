// Package store is the port to fenced, atomic batches of rows for each
// partition. The ledger computes the rows; a driver only writes them behind a
// fence, all or none, and reads them back. Package storetest holds the suite
// that every driver passes.
package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/fenfa/fenfa/internal/task"
)

// Sentinels; drivers wrap them.
var (
	// ErrFenced says that the caller is not the partition's owner any more.
	ErrFenced = errors.New("the partition has another owner")
	// ErrVersion says that a meta value is not at the expected version.
	ErrVersion = errors.New("the value was changed meanwhile")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("the store is closed")
	// ErrFull says that the disk has no room for what is not a completion.
	ErrFull = errors.New("the disk is full")
)

// Fence is the head of a partition: every commit moves it, and a commit that
// does not find the expected one changes nothing.
type Fence struct {
	Epoch uint64
	Seq   uint64         // number of the last op-log row, or of anything else numbered by it
	HLC   task.Timestamp // grows with every commit
	Chain [32]byte       // hash of the last op-log row
	GC    task.Timestamp // what is left of transactions that began until then may be gone; never goes back
}

// Batch is what one partition commits: its fence moves from Prev to Next and
// all rows are written, or nothing happens.
type Batch struct {
	Part    int
	Prev    Fence
	Next    Fence // the same epoch, Seq not less, HLC greater
	Puts    []Row // inserted or replaced in this order: of two with one key the later stays
	Deletes []Row // after all puts; only the key fields count; a missing row is no error
	// Lazy says that nobody waits for this batch: a driver may hold it back for a
	// few milliseconds so that it shares the cost of a commit with others.
	Lazy bool
}

// Grouper is implemented by drivers that keep partitions in several places: those of
// one group become durable together, and wait for no other group. It is called for
// every batch, and neither blocks nor fails: where the group of a partition is not
// known yet, or has just changed, any will do.
type Grouper interface {
	Group(part int) int
}

// Hurrier is implemented by drivers that hold lazy batches back: Hurry ends that
// for those that were handed in already.
type Hurrier interface {
	Hurry()
}

// Inspector is implemented by drivers that tell the durable head of a partition to
// those who do not own it.
type Inspector interface {
	Fence(ctx context.Context, part int) (Fence, error)
}

// CommitError says which batches did not happen; all others are durable. Failed
// maps the index of the batch to the reason.
type CommitError struct {
	Failed map[int]error
}

// Error names one of the failures and their number.
func (e *CommitError) Error() string {
	for i, err := range e.Failed {
		return fmt.Sprintf("commit: %d batches failed; batch %d: %v", len(e.Failed), i, err)
	}
	return "commit: no batch failed"
}

// Unwrap returns the reasons.
func (e *CommitError) Unwrap() []error {
	errs := make([]error, 0, len(e.Failed))
	for _, err := range e.Failed {
		errs = append(errs, err)
	}
	return errs
}

// Scan asks for rows of one table in key order.
type Scan struct {
	Part  int
	Table Table
	From  Row // inclusive, only its key fields count; nil: from the first
	To    Row // exclusive; nil: to the last
	Limit int // most rows; at least 1
	Bytes int // stop after the row whose value reaches it; 0: no bound
}

// Store is the port. All methods may be called concurrently; what Load and Get
// return is durable and belongs to the caller.
type Store interface {
	// Claim makes the caller the owner of the partition at the given epoch and
	// returns its fence. It fails with ErrFenced if this epoch or a higher one is
	// there already. Epoch 0 asks for the next one.
	Claim(ctx context.Context, part int, epoch uint64) (Fence, error)
	// Commit returns when all batches are durable, or says which are not. Batches of
	// one partition are handed in one after another.
	Commit(ctx context.Context, batches []Batch) error
	Load(ctx context.Context, scan Scan) ([]Row, error)
	// Get returns the rows with these keys, nil where there is none.
	Get(ctx context.Context, part int, keys []Row) ([]Row, error)
	Meta() Meta
	Close(ctx context.Context) error
}

// Meta keeps small named values of the whole cluster: queues, settings.
type Meta interface {
	// Get returns the value and its version; version 0 says that there is none.
	Get(ctx context.Context, name string) (value []byte, version uint64, err error)
	// Put writes the value if its version is the expected one (0: none exists), else
	// fails with ErrVersion. A nil value deletes. A version that a name once had is
	// never given to it again, also not after a delete.
	Put(ctx context.Context, name string, value []byte, expected uint64) (version uint64, err error)
	// List returns all names with the prefix, sorted, and their values.
	List(ctx context.Context, prefix string) ([]Entry, error)
}

// Entry is one value of Meta.
type Entry struct {
	Name    string
	Value   []byte
	Version uint64
}
