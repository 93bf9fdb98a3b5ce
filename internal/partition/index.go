package partition

import (
	"context"
	"fmt"

	"github.com/fenfa/fenfa/internal/store"
)

// beginIndex makes deletes findable from now on, where an earlier version did not.
func (own *ownership) beginIndex(ctx context.Context) error {
	if own.fence.Seq == 0 {
		return nil // It begins with the first change.
	}
	rows, err := own.e.cfg.Store.Get(ctx, own.part, []store.Row{store.Since(store.IndexGone, 0), store.Since(store.IndexHeld, 0)})
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	if _, complete := store.SinceOf(rows[0]); !complete {
		own.core.led.Indexed(store.IndexGone, own.fence.Seq)
	}
	_, own.locksIndexed = store.SinceOf(rows[1])
	return nil
}
