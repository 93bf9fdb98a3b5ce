package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/fenfa/fenfa"
)

// check collects the evidence of all SKUs and judges it.
func (s *shop) check(ctx context.Context) ([]row, error) {
	written, err := s.receipts(ctx)
	if err != nil {
		return nil, err
	}
	bySKU := make(map[string][]placed, s.skus)
	for _, p := range s.placed {
		bySKU[p.SKU] = append(bySKU[p.SKU], p)
	}
	rows := make([]row, 0, s.skus)
	var wrong []error
	for i := range s.skus {
		e := evidence{sku: s.sku(i), stock: s.stock, orders: bySKU[s.sku(i)], receipts: written}
		if e.changes, err = s.history(ctx, e.sku, stockRecord); err != nil {
			return nil, err
		}
		e.changes = e.changes[1:] // The first one filled the stock.
		r, err := s.client.State().Get(ctx, e.sku, stockRecord)
		if err != nil {
			return nil, err
		}
		if e.left, err = available(r.Value); err != nil {
			return nil, err
		}
		row, err := e.judge()
		rows, wrong = append(rows, row), append(wrong, err)
	}
	return rows, errors.Join(wrong...)
}

// receipts counts how often each receipt was written, by the order.
func (s *shop) receipts(ctx context.Context) (map[fenfa.ID]int, error) {
	written := map[fenfa.ID]int{}
	for i := range customers {
		changes, err := s.history(ctx, s.customer(i), "")
		if err != nil {
			return nil, err
		}
		for i := range changes {
			var r Receipt
			if err := json.Unmarshal(changes[i].Value, &r); err != nil {
				return nil, err
			}
			written[r.Order]++
		}
	}
	return written, nil
}

// history reads the op log of a record, or of all records of the key.
func (s *shop) history(ctx context.Context, key, name string) (all []fenfa.Change, err error) {
	for after := uint64(0); ; {
		changes, next, err := s.client.State().History(ctx, key, name, after, 1000)
		if err != nil {
			return nil, err
		}
		all = append(all, changes...)
		if after = next; next == 0 {
			return all, nil
		}
	}
}

func available(value []byte) (int, error) {
	var s Stock
	err := json.Unmarshal(value, &s)
	return s.Available, err
}
