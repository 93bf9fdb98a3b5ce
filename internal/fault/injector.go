package fault

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fenfa/fenfa/internal/clock"
)

// Sentinels of planned failures.
var (
	// ErrInjected says that the call was not carried out.
	ErrInjected = errors.New("injected failure")
	// ErrUnknown says that the call may have been carried out.
	ErrUnknown = errors.New("injected loss of the answer")
)

// Injector makes calls go wrong by a plan, and counts them.
type Injector struct {
	clock clock.Clock

	mu    sync.Mutex
	plan  Plan
	count map[Kind]int
}

// NewInjector returns an Injector with a plan. The clock times the delays; nil is
// the machine's.
func NewInjector(plan Plan, c clock.Clock) *Injector {
	if c == nil {
		c = clock.System{}
	}
	return &Injector{clock: c, plan: plan, count: map[Kind]int{}}
}

// SetPlan replaces the plan, for instance to heal what is below.
func (i *Injector) SetPlan(plan Plan) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.plan = plan
}

// Count returns how many calls went wrong in this way so far.
func (i *Injector) Count(kind Kind) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.count[kind]
}

func (i *Injector) next(op Op) Fault {
	i.mu.Lock()
	defer i.mu.Unlock()
	f := i.plan(op)
	i.count[f.Kind]++
	return f
}

// Begin asks the plan about a call, waits, and fails where the call is not to be
// carried out. The caller sees to the other kinds.
func (i *Injector) Begin(ctx context.Context, op Op) (Kind, error) {
	f := i.next(op)
	if err := i.wait(ctx, f.Delay); err != nil {
		return f.Kind, fmt.Errorf("%s: %w: %w", op, ErrInjected, err)
	}
	if f.Kind == Fail {
		return f.Kind, fmt.Errorf("%s: %w", op, ErrInjected)
	}
	return f.Kind, nil
}

// Do carries a call out as the plan says.
func (i *Injector) Do(ctx context.Context, op Op, call func() error) error {
	kind, err := i.Begin(ctx, op)
	if err != nil {
		return err
	}
	switch kind {
	case Unknown:
		// Whatever the call answers is what gets lost.
		_ = call()
		return fmt.Errorf("%s: %w", op, ErrUnknown)
	case Repeat:
		_ = call()
	case None, Fail:
	}
	return call()
}

func (i *Injector) wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	over := make(chan struct{})
	timer := i.clock.AfterFunc(d, func() { close(over) })
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		timer.Stop()
		return ctx.Err()
	}
}
