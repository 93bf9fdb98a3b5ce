package main

import (
	"errors"
	"fmt"

	"github.com/fenfa/fenfa"
)

// row is what became of an SKU: stock = sold + left.
type row struct {
	sku                   string
	orders, refused, sold int // sold counts pieces, the others orders
	left                  int
}

// evidence is what is known of an SKU after the sale, from three sides: what
// customers were told, what the op log has, and what the record says.
type evidence struct {
	sku      string
	stock    int // before the sale
	left     int // after it, as the record says
	orders   []placed
	changes  []fenfa.Change   // of the record, after it was filled
	receipts map[fenfa.ID]int // how often one was written, by the order
}

// judge says what became of the SKU, and everything that is wrong with it.
func (e *evidence) judge() (row, error) {
	r := row{sku: e.sku, orders: len(e.orders), left: e.left}
	taken, wrong := e.replay()
	accuse := func(format string, args ...any) { wrong = append(wrong, e.wrong(format, args...)) }
	rest := e.stock // when it was the order's turn
	for i := range e.orders {
		o := &e.orders[i]
		took := taken[o.id]
		sum := 0
		for _, n := range took {
			sum += n
		}
		switch {
		case o.answer.Sold && len(took) == 0:
			accuse("order %d of %d pieces was sold and is lost", i, o.Quantity)
		case o.answer.Sold && (len(took) > 1 || sum != o.Quantity):
			accuse("order %d of %d pieces took %v", i, o.Quantity, took)
		case !o.answer.Sold && len(took) > 0:
			accuse("order %d was refused and took %v", i, took)
		case !o.answer.Sold && rest >= o.Quantity:
			accuse("order %d of %d pieces was refused with %d left", i, o.Quantity, rest)
		}
		receipts := 0
		if o.answer.Sold {
			r.sold += o.Quantity
			receipts = 1
		} else {
			r.refused++
		}
		if e.receipts[o.id] != receipts {
			accuse("order %d has %d receipts, want %d", i, e.receipts[o.id], receipts)
		}
		rest -= sum
	}
	if r.sold+e.left != e.stock {
		accuse("%d are sold and %d are left of %d", r.sold, e.left, e.stock)
	}
	return r, errors.Join(wrong...)
}

// replay follows the op log and returns what each order took.
func (e *evidence) replay() (taken map[fenfa.ID][]int, wrong []error) {
	place := make(map[fenfa.ID]int, len(e.orders))
	for i := range e.orders {
		place[e.orders[i].id] = i
	}
	taken = map[fenfa.ID][]int{}
	stock, last := e.stock, -1
	for i := range e.changes {
		c := &e.changes[i]
		now, err := available(c.Value)
		if err != nil {
			return taken, append(wrong, e.wrong("read change %d: %w", c.Seq, err))
		}
		at, known := place[c.TaskID]
		switch {
		case !known || c.TaskID.IsZero():
			wrong = append(wrong, e.wrong("change %d is of no order", c.Seq))
			at = last
		case at < last:
			wrong = append(wrong, e.wrong("order %d was served after order %d", at, last))
		}
		if now < 0 {
			wrong = append(wrong, e.wrong("oversold by order %d: %d are left", at, now))
		}
		taken[c.TaskID] = append(taken[c.TaskID], stock-now)
		stock, last = now, at
	}
	if stock != e.left {
		wrong = append(wrong, e.wrong("the op log ends with %d, and the record is %d", stock, e.left))
	}
	return taken, wrong
}

// wrong is something that is wrong with the SKU.
func (e *evidence) wrong(format string, args ...any) error {
	return fmt.Errorf("%s: %w", e.sku, fmt.Errorf(format, args...))
}
