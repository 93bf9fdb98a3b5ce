package main

import (
	"context"
	"fmt"
	"io"

	"github.com/fenfa/fenfa"
)

// show follows the stock of the hottest SKU, and writes a line for each tenth that
// is gone, until nothing is left or ctx ends.
func (s *shop) show(ctx context.Context, out io.Writer) error {
	watch := s.client.Watch("", fenfa.WatchOptions{Keys: []string{s.sku(0)}, Name: stockRecord, Initial: true})
	tenth := 11
	for ev, err := range watch.Events(ctx) {
		if err != nil {
			return err
		}
		record := ev.Record
		switch ev.Kind {
		case fenfa.WatchRecord:
		case fenfa.WatchChange:
			record.Value = ev.Change.Value
		default:
			continue
		}
		var now Stock
		if err := record.Decode(&now); err != nil {
			return err
		}
		if at := (now.Available*10 + s.stock - 1) / s.stock; at < tenth {
			tenth = at
			_, _ = fmt.Fprintf(out, "%s: %d left\n", s.sku(0), now.Available)
		}
		if now.Available <= 0 {
			return nil
		}
	}
	return nil
}

// soldOut looks at the page, which may be behind. There is never more than it says,
// so what it says is sold out is; all else is for the handler to decide.
func (s *shop) soldOut(ctx context.Context, o *Order) bool {
	r, _, err := s.page.Get(ctx, o.SKU, stockRecord)
	var seen Stock
	return err == nil && r.Decode(&seen) == nil && seen.Available < o.Quantity
}
