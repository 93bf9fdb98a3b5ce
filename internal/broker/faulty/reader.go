package faulty

import (
	"context"
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/fault"
)

// reader is a broker.Reader that goes wrong by plan.
type reader struct {
	broker *faultyBroker
	inner  broker.Reader

	// Of the goroutine that calls Next.
	kept  []broker.Delivery // taken by a read whose answer was lost
	given []broker.Delivery // by the last read
}

// Next implements broker.Reader.
func (r *reader) Next(ctx context.Context, limit broker.Limit) ([]broker.Delivery, error) {
	kind, err := r.broker.Begin(ctx, OpNext)
	if err != nil {
		return nil, err
	}
	if kind == fault.Repeat && len(r.given) > 0 && len(r.given) <= limit.Tasks {
		again := make([]broker.Delivery, len(r.given))
		for i, d := range r.given {
			d.Fresh = false
			again[i] = d
		}
		r.given = nil
		return again, nil
	}
	if len(r.kept) == 0 {
		if r.kept, err = r.inner.Next(ctx, limit); err != nil {
			return nil, err
		}
	}
	if kind == fault.Unknown {
		return nil, fmt.Errorf("%s: %w", OpNext, fault.ErrUnknown)
	}
	n := min(len(r.kept), max(1, limit.Tasks))
	r.given, r.kept = r.kept[:n:n], r.kept[n:]
	return r.given, nil
}

// Settle implements broker.Reader.
func (r *reader) Settle(ctx context.Context, positions ...broker.Position) error {
	return r.broker.Do(ctx, OpSettle, func() error { return r.inner.Settle(ctx, positions...) })
}

// Certain implements broker.Late. What is kept here may come again as well, and was
// not settled.
func (r *reader) Certain() time.Time {
	if late, ok := r.inner.(broker.Late); ok {
		return late.Certain()
	}
	return time.Now()
}

// Close implements broker.Reader.
func (r *reader) Close(ctx context.Context) error { return r.inner.Close(ctx) }
