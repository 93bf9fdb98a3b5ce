// Package broker is the port to a durable, ordered log for each queue and
// partition. Delays, retries, dead letters and parking live above it, so they
// are the same for every driver. Package brokertest holds the suite that every
// driver passes.
package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Sentinels of per-message publish failures; drivers wrap them.
var (
	ErrDuplicate = errors.New("the broker already has this task")
	ErrMismatch  = errors.New("the broker has another task under this id")
	ErrFull      = errors.New("there is no room for more")
	ErrNoQueue   = errors.New("the queue was not declared")
	ErrClosed    = errors.New("the broker is closed")
	// ErrFenced ends a reader whose place another one took, and refuses one with a
	// lower epoch.
	ErrFenced = errors.New("another reader took over")
)

// Message is a task on its way into the log. The broker does not look into
// Body and keeps it as it is; the caller must not change it afterwards.
type Message struct {
	Queue       string
	Partition   int
	ID          task.ID
	Fingerprint uint64 // of the content; tells a repeat from another task under the same ID
	Body        []byte
	// Owed says that the message follows from an outcome that is durable already:
	// limits of the backlog do not refuse it.
	Owed bool
}

// Position is a message's place in the log of its queue and partition; later
// messages have greater positions. Zero is no position.
type Position uint64

// Delivery is a message as a reader gets it.
type Delivery struct {
	Position Position
	// Fresh promises that no reader was ever given this message before and that no
	// other message in the log has its ID, so the task cannot have taken effect.
	Fresh bool
	ID    task.ID
	Body  []byte
}

// PublishError says which messages of a batch were not taken; all others are
// durable. Failed maps the index in the batch to the reason.
type PublishError struct {
	Failed map[int]error
}

// Error names one of the failures and their number.
func (e *PublishError) Error() string {
	for i, err := range e.Failed {
		return fmt.Sprintf("publish: %d messages were not taken; message %d: %v", len(e.Failed), i, err)
	}
	return "publish: no message failed"
}

// Unwrap returns the reasons.
func (e *PublishError) Unwrap() []error {
	errs := make([]error, 0, len(e.Failed))
	for _, err := range e.Failed {
		errs = append(errs, err)
	}
	return errs
}

// Backlog is what a queue holds that is not settled.
type Backlog struct {
	Tasks int64
	Bytes int64
	// Oldest is when the oldest message was published; zero when there is none or
	// the broker does not know.
	Oldest time.Time
}

// Located is where a message was found by its ID. A zero Position says that the
// broker knows neither the position nor whether the message is settled.
type Located struct {
	Queue       string
	Partition   int
	Position    Position
	Fingerprint uint64
	Settled     bool
	PublishedAt time.Time
}

// Capabilities say what the driver and its server promise.
type Capabilities struct {
	Durability     string // "fsync", "quorum", "replicated" or "everysec"
	Cumulative     bool   // Settle settles everything up to a position
	DedupesPublish bool   // Publish answers ErrDuplicate and ErrMismatch
	LookupByID     bool   // the driver implements Locator
	// Repeats says that a message may be in the log twice although Publish dedupes:
	// where the result of its first publish was unknown, or who knew it forgot. A
	// broker that does not dedupe has repeats in any case.
	Repeats      bool
	SeveralNodes bool // more than one node may use it at a time
	// StablePositions says that a message has the same position for every reader.
	// Without it a message keeps its position only as long as its reader lives.
	StablePositions bool
	// ExactBacklog says that Backlog counts exactly, and that limits hold exactly.
	// Without it both are estimates, whose tasks are right once nothing is under way
	// and one process uses the queue; bytes may be anything until there are no tasks.
	ExactBacklog bool
}

// Limit bounds one read.
type Limit struct {
	Tasks int // at least 1
	Bytes int // stop after the message that reaches it; 0: no bound
}

// Broker is a durable, ordered log for each (queue, partition). All methods may
// be called concurrently.
type Broker interface {
	// Publish returns when all messages are durable. Messages of one call, and of
	// calls one after another, are read in this order within their queue and
	// partition. A *PublishError names messages that were not taken while the
	// others were; any other error leaves the outcome of all unknown, and a repeat
	// is allowed.
	Publish(ctx context.Context, batch []Message) error
	// Open returns the owner's exclusive reader, which begins with what is not
	// settled. Opening again with the same or a higher epoch ends an earlier reader.
	Open(ctx context.Context, queue string, partition int, epoch uint64) (Reader, error)
	// Backlog reports what is not settled, over all partitions.
	Backlog(ctx context.Context, queue string) (Backlog, error)
	// Declare makes the queue's logs if they do not exist, and sets its limits.
	Declare(ctx context.Context, q Declaration) error
	// Remove deletes the queue's logs and all that is in them.
	Remove(ctx context.Context, queue string) error
	Capabilities() Capabilities
	// Close ends all readers and waits for what is under way.
	Close(ctx context.Context) error
}

// Declaration is what a broker must know of a queue.
type Declaration struct {
	Queue        string
	Partitions   int
	MaxTasks     int64 // Publish answers ErrFull beyond; 0: no bound
	MaxBytes     int64
	DedupeWindow time.Duration
}

// Reader reads one (queue, partition) in order. Next is called by one goroutine
// at a time; Settle may be called by another.
type Reader interface {
	// Next waits for at least one message, or for ctx. After a crash the unsettled
	// ones come again, in order.
	Next(ctx context.Context, limit Limit) ([]Delivery, error)
	// Settle says that these are done with. It returns before it is durable; it is
	// never durable before anything that was committed to a store on the same
	// engine before the call.
	Settle(ctx context.Context, positions ...Position) error
	Close(ctx context.Context) error
}

// Late is implemented by readers whose broker hears late of what was settled, so
// that a message may come again long after.
type Late interface {
	// Certain returns a moment before which nothing was settled that may still come
	// again, to this reader or a later one; the zero time: anything may. Whoever must
	// know such a message as a repeat keeps what it knows of it.
	Certain() time.Time
}

// Locator is implemented by brokers that can find a message by its task's ID.
type Locator interface {
	Locate(ctx context.Context, id task.ID) (Located, bool, error)
}

// Peeker is implemented by brokers that can show what waits in a log without moving its
// reader.
type Peeker interface {
	// Peek returns durable messages that were not given to the log's reader, from a
	// position on, in order, as many as the limit allows, and where to go on; zero: that
	// was the end. One that was settled just before a restart may be among them.
	Peek(ctx context.Context, queue string, partition int, from Position, limit Limit) (found []Delivery, next Position, err error)
}

// Watched is implemented by brokers whose servers may be away.
type Watched interface {
	// Problem says why messages are not taken or not given now; nil: nothing is known
	// to be wrong. It does not wait.
	Problem() error
}
