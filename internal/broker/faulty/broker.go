package faulty

import (
	"context"
	"errors"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/fault"
	"github.com/fenfa/fenfa/internal/task"
)

// Config says what goes wrong with which broker.
type Config struct {
	Broker broker.Broker // required
	Plan   fault.Plan    // required
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
	SetPlan(plan fault.Plan)
	// Count returns how many calls went wrong in this way so far.
	Count(kind fault.Kind) int
}

// faultyBroker is a Driver over any broker.
type faultyBroker struct {
	*fault.Injector
	inner broker.Broker
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
	b := &faultyBroker{Injector: fault.NewInjector(cfg.Plan, cfg.Clock), inner: cfg.Broker}
	if l, ok := cfg.Broker.(broker.Locator); ok {
		return &locating{faultyBroker: b, inner: l}, nil
	}
	return b, nil
}

// Publish implements broker.Broker.
func (b *faultyBroker) Publish(ctx context.Context, batch []broker.Message) error {
	return b.Do(ctx, OpPublish, func() error { return b.inner.Publish(ctx, batch) })
}

// Open implements broker.Broker. A reader whose answer is lost ends the one
// before, and is itself ended by the next.
func (b *faultyBroker) Open(ctx context.Context, queue string, partition int, epoch uint64) (broker.Reader, error) {
	var r broker.Reader
	err := b.Do(ctx, OpOpen, func() (err error) {
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
	err := b.Do(ctx, OpBacklog, func() (err error) {
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
	return b.Do(ctx, OpDeclare, func() error { return b.inner.Declare(ctx, q) })
}

// Remove implements broker.Broker. A repeated one finds no queue.
func (b *faultyBroker) Remove(ctx context.Context, queue string) error {
	return b.Do(ctx, OpRemove, func() error { return b.inner.Remove(ctx, queue) })
}

// Capabilities implements broker.Broker.
func (b *faultyBroker) Capabilities() broker.Capabilities { return b.inner.Capabilities() }

// Close closes the broker below; it never goes wrong by plan.
func (b *faultyBroker) Close(ctx context.Context) error { return b.inner.Close(ctx) }

// Locate implements broker.Locator.
func (b *locating) Locate(ctx context.Context, id task.ID) (broker.Located, bool, error) {
	var at broker.Located
	var found bool
	err := b.Do(ctx, OpLocate, func() (err error) {
		at, found, err = b.inner.Locate(ctx, id)
		return err
	})
	if err != nil {
		return broker.Located{}, false, err
	}
	return at, found, nil
}
