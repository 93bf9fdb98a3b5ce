package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/orders"
)

// The marker is a record that says which input a data directory belongs to, so
// that a second demo on it judges the same orders or none.
const (
	markerKey  = "fenfa-demo"
	markerName = "input"
)

// parallel is how many calls are under way at a time where many are made.
const parallel = 64

// records is what the demo needs of the records.
type records interface {
	Get(ctx context.Context, key, name string) (fenfa.Record, error)
	Put(ctx context.Context, key, name string, value any, expected uint64) (uint64, error)
	History(ctx context.Context, key, name string, after uint64, limit int) ([]fenfa.Change, uint64, error)
}

// loadStock gives every SKU its initial stock. Stock that is there already stays
// as it is, if it belongs to the same input.
func loadStock(ctx context.Context, state records, list *orders.List) error {
	if err := mark(ctx, state, list.Fingerprint()); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for sku, pieces := range list.InitialStock() {
		group.Go(func() error {
			_, err := state.Put(ctx, sku, recordName, Stock{Available: pieces}, 0)
			if err != nil && !errors.Is(err, fenfa.ErrConflict) {
				return fmt.Errorf("load stock of %s: %w", sku, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// mark writes the marker, or compares it with the one that is there.
func mark(ctx context.Context, state records, fingerprint string) error {
	_, err := state.Put(ctx, markerKey, markerName, fingerprint, 0)
	if err == nil || !errors.Is(err, fenfa.ErrConflict) {
		return err
	}
	there, err := state.Get(ctx, markerKey, markerName)
	if err != nil {
		return fmt.Errorf("read marker: %w", err)
	}
	if !bytes.Equal(there.Value, []byte(fingerprint)) {
		return &OtherInputError{}
	}
	return nil
}

// OtherInputError says that a data directory holds the demo of other orders.
type OtherInputError struct{}

// Error says what to do.
func (*OtherInputError) Error() string {
	return "the data directory holds the demo of another input: name another one, or the same orders again"
}
