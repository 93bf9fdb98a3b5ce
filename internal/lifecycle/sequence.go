package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// grace is how long a part may take to drain or stop even when the deadline is
// over, so that one that hangs does not take those before it along, and one that
// obeys the deadline can say what it leaves.
const grace = time.Second

// Part is one thing that runs between a start and a stop. Functions that are nil
// do nothing.
type Part struct {
	Name  string
	Start func(ctx context.Context) error // ctx bounds the start only
	Drain func(ctx context.Context) error // finish what is under way until ctx ends
	Stop  func(ctx context.Context) error // end, at the latest with ctx
}

// ErrOverrun is wrapped by the error about a part that did not end in time.
var ErrOverrun = errors.New("did not end in time")

// Sequence is an ordered list of parts.
type Sequence struct {
	parts []Part

	mu      sync.Mutex
	running int // how many parts were started
}

// New returns a sequence that is not started.
func New(parts ...Part) *Sequence { return &Sequence{parts: parts} }

// Start starts the parts in order. When one fails, it stops those that were
// started and returns the errors of all.
func (s *Sequence) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running > 0 {
		return errors.New("start: it runs already")
	}
	for _, p := range s.parts {
		err := ctx.Err()
		if err == nil {
			err = call(ctx, p.Start)
		}
		if err != nil {
			// What was started must end even when the start was cancelled.
			return errors.Join(fmt.Errorf("start %s: %w", p.Name, err), s.stop(context.WithoutCancel(ctx)))
		}
		s.running++
	}
	return nil
}

// Drain lets the parts finish what is under way, from the last to the first. A
// part that does not return soon after ctx has ended is left behind.
func (s *Sequence) Drain(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for i := s.running - 1; i >= 0; i-- {
		if err := bounded(ctx, s.parts[i].Drain); err != nil {
			errs = append(errs, fmt.Errorf("drain %s: %w", s.parts[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

// Stop ends the parts, from the last to the first. The deadline is that of all
// together, but each part has a second. Stopping what does not run does nothing.
func (s *Sequence) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop(ctx)
}

func (s *Sequence) stop(ctx context.Context) error {
	var errs []error
	for ; s.running > 0; s.running-- {
		p := s.parts[s.running-1]
		if err := bounded(ctx, p.Stop); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", p.Name, err))
		}
	}
	return errors.Join(errs...)
}

func call(ctx context.Context, f func(context.Context) error) error {
	if f == nil {
		return nil
	}
	return f(ctx)
}

// bounded returns when f does, or ctx has ended and f had its grace since.
func bounded(ctx context.Context, f func(context.Context) error) error {
	if f == nil {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	most := time.NewTimer(grace)
	defer most.Stop()
	select {
	case err := <-done:
		return err
	case <-most.C:
		return fmt.Errorf("%w: %w", ErrOverrun, context.Cause(ctx))
	}
}
