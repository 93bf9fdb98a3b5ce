package faulty

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/task"
)

// Sentinels of planned failures.
var (
	// ErrInjected says that the call was not carried out.
	ErrInjected = errors.New("injected failure")
	// ErrUnknown says that the call may have been carried out.
	ErrUnknown = errors.New("injected loss of the answer")
)

// Config says what goes wrong with which broker.
type Config struct {
	Broker broker.Broker // required
	Plan   Plan          // required
	Clock  clock.Clock   // times the delays; default clock.System
}

// Driver is a broker.Broker that goes wrong by plan.
type Driver interface {
	broker.Broker
	Controls
}

// Controls changes and counts the faults of a Driver.
type Controls interface {
	// SetPlan replaces the plan, for instance to heal the broker.
	SetPlan(plan Plan)
	// Count returns how many calls went wrong in this way so far.
	Count(kind Kind) int
}

// faultyBroker is a Driver over any broker.
type faultyBroker struct {
	inner broker.Broker
	clock clock.Clock

	mu    sync.Mutex
	plan  Plan
	count map[Kind]int
}

// locating is a Driver over a broker that is a broker.Locator.
type locating struct {
	*faultyBroker
	inner broker.Locator
}

// New returns a decorator over cfg.Broker; it is a broker.Locator if that is one.
func New(cfg Config) (Driver, error) {
	if cfg.Broker == nil || cfg.Plan == nil {
		return nil, errors.New("make faulty broker: a broker and a plan are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	b := &faultyBroker{inner: cfg.Broker, clock: cfg.Clock, plan: cfg.Plan, count: map[Kind]int{}}
	if l, ok := cfg.Broker.(broker.Locator); ok {
		return &locating{faultyBroker: b, inner: l}, nil
	}
	return b, nil
}

// SetPlan implements Controls.
func (b *faultyBroker) SetPlan(plan Plan) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.plan = plan
}

// Count implements Controls.
func (b *faultyBroker) Count(kind Kind) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count[kind]
}

func (b *faultyBroker) next(op Op) Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.plan(op)
	b.count[f.Kind]++
	return f
}

// begin asks the plan about a call, waits, and fails where the call is not to be
// carried out.
func (b *faultyBroker) begin(ctx context.Context, op Op) (Kind, error) {
	f := b.next(op)
	if err := b.wait(ctx, f.Delay); err != nil {
		return f.Kind, fmt.Errorf("%s: %w: %w", op, ErrInjected, err)
	}
	if f.Kind == Fail {
		return f.Kind, fmt.Errorf("%s: %w", op, ErrInjected)
	}
	return f.Kind, nil
}

// do carries a call out as the plan says.
func (b *faultyBroker) do(ctx context.Context, op Op, call func() error) error {
	kind, err := b.begin(ctx, op)
	if err != nil {
		return err
	}
	switch kind {
	case Unknown:
		// Whatever the broker says is what gets lost.
		_ = call()
		return fmt.Errorf("%s: %w", op, ErrUnknown)
	case Repeat:
		_ = call()
	case None, Fail:
	}
	return call()
}

func (b *faultyBroker) wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	over := make(chan struct{})
	timer := b.clock.AfterFunc(d, func() { close(over) })
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		timer.Stop()
		return ctx.Err()
	}
}

// Publish implements broker.Broker.
func (b *faultyBroker) Publish(ctx context.Context, batch []broker.Message) error {
	return b.do(ctx, OpPublish, func() error { return b.inner.Publish(ctx, batch) })
}

// Open implements broker.Broker. A reader whose answer is lost ends the one
// before, and is itself ended by the next.
func (b *faultyBroker) Open(ctx context.Context, queue string, partition int, epoch uint64) (broker.Reader, error) {
	var r broker.Reader
	err := b.do(ctx, OpOpen, func() (err error) {
		r, err = b.inner.Open(ctx, queue, partition, epoch)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &reader{broker: b, inner: r}, nil
}

// Backlog implements broker.Broker.
func (b *faultyBroker) Backlog(ctx context.Context, queue string) (broker.Backlog, error) {
	var backlog broker.Backlog
	err := b.do(ctx, OpBacklog, func() (err error) {
		backlog, err = b.inner.Backlog(ctx, queue)
		return err
	})
	if err != nil {
		return broker.Backlog{}, err
	}
	return backlog, nil
}

// Declare implements broker.Broker.
func (b *faultyBroker) Declare(ctx context.Context, q broker.Declaration) error {
	return b.do(ctx, OpDeclare, func() error { return b.inner.Declare(ctx, q) })
}

// Remove implements broker.Broker. A repeated one finds no queue.
func (b *faultyBroker) Remove(ctx context.Context, queue string) error {
	return b.do(ctx, OpRemove, func() error { return b.inner.Remove(ctx, queue) })
}

// Capabilities implements broker.Broker.
func (b *faultyBroker) Capabilities() broker.Capabilities { return b.inner.Capabilities() }

// Close closes the broker below; it never goes wrong by plan.
func (b *faultyBroker) Close(ctx context.Context) error { return b.inner.Close(ctx) }

// Locate implements broker.Locator.
func (b *locating) Locate(ctx context.Context, id task.ID) (broker.Located, bool, error) {
	var at broker.Located
	var found bool
	err := b.do(ctx, OpLocate, func() (err error) {
		at, found, err = b.inner.Locate(ctx, id)
		return err
	})
	if err != nil {
		return broker.Located{}, false, err
	}
	return at, found, nil
}
