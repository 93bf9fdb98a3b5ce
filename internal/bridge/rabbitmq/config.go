package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/fenfa/fenfa"
	broker "github.com/fenfa/fenfa/internal/broker/rabbitmq"
)

// Defaults of InConfig and OutConfig.
const (
	DefaultPrefetch     = 2000
	DefaultDrainTimeout = 25 * time.Second
	DefaultConcurrency  = 256
	DefaultRetryBase    = 100 * time.Millisecond
	DefaultRetryMax     = 5 * time.Second
)

// maxPrefetch is what the protocol can carry.
const maxPrefetch = 65_535

// Submitter is what In needs of a fenfa.Client.
type Submitter interface {
	SubmitBatch(ctx context.Context, tasks []*fenfa.Task) ([]fenfa.SubmitResult, error)
}

// InConfig says what In moves, and how.
type InConfig struct {
	Server broker.Config // of RabbitMQ; required
	Queue  string        // of RabbitMQ; required
	To     string        // queue of fenfa; required
	Client Submitter     // required
	Key    KeyRule       // default: no key
	ID     IDRule        // default IDAuto
	// TypeHeader names the header that is the task's type; default: the type property.
	TypeHeader string
	// Prefetch is how many messages are held unacked at most: 1 to 65,535, default
	// 2000.
	Prefetch int
	// Limit ends Run after so many messages; 0: no limit.
	Limit int64
	// UntilEmpty ends Run when the queue has no message to deliver and none is held.
	UntilEmpty bool
	Refused    Refused // default RefusedStop
	// RefusedFile is the path of the file for RefusedFile, to which lines are appended.
	RefusedFile string
	// DrainTimeout is how long submits that are under way may take after the context of
	// Run ended; default 25 s.
	DrainTimeout time.Duration
	// RetryBase and RetryMax are the shortest and the longest mean delay before fenfa,
	// or RabbitMQ, is tried again; defaults 100 ms and 5 s.
	RetryBase time.Duration
	RetryMax  time.Duration
	Logger    *slog.Logger // nil: no logs
}

func (c InConfig) withDefaults() (InConfig, error) {
	def(&c.ID, IDAuto)
	def(&c.Refused, RefusedStop)
	def(&c.Prefetch, DefaultPrefetch)
	def(&c.DrainTimeout, DefaultDrainTimeout)
	def(&c.RetryBase, DefaultRetryBase)
	def(&c.RetryMax, max(DefaultRetryMax, c.RetryBase))
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := c.validate(); err != nil {
		return c, fmt.Errorf("new bridge from RabbitMQ: %w", err)
	}
	return c, nil
}

func (c *InConfig) validate() error {
	switch {
	case c.Queue == "":
		return errors.New("name the queue of RabbitMQ")
	case c.To == "":
		return errors.New("name the queue of fenfa")
	case c.Client == nil:
		return errors.New("a client is missing")
	case c.Prefetch < 1 || c.Prefetch > maxPrefetch:
		return fmt.Errorf("prefetch is %d: want 1 to %d", c.Prefetch, maxPrefetch)
	case c.Limit < 0:
		return fmt.Errorf("limit is %d: it cannot be negative", c.Limit)
	case c.Limit > 0 && c.UntilEmpty:
		return errors.New("a limit and the end with an empty queue do not go together")
	case (c.Refused == RefusedFile) != (c.RefusedFile != ""):
		return errors.New("the policy to write refused messages to a file, and the file, go together")
	case c.DrainTimeout < 0 || c.RetryBase < 0 || c.RetryMax < 0:
		return errors.New("a timeout or delay is negative")
	}
	return errors.Join(
		c.Key.validate(),
		oneOf("the rule for ids", c.ID, IDAuto, IDMessage, IDContent, IDRandom),
		oneOf("the policy for refused messages", c.Refused, RefusedStop, RefusedReject, RefusedFile),
	)
}

// def sets what was left zero.
func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
