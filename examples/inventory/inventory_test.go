package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// bounded returns the test's context with an end, for what waits.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func openShop(ctx context.Context, t *testing.T, n *fenfatest.Node, p plan) *shop {
	t.Helper()
	s, err := open(ctx, n.Client(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// TestASaleGivesOutWhatThereIsAndNotMore sells while the node restarts, and holds
// the result of each SKU against a sale of one order after the other.
func TestASaleGivesOutWhatThereIsAndNotMore(t *testing.T) {
	n, ctx := fenfatest.Start(t), bounded(t)
	s := openShop(ctx, t, n, plan{prefix: "t", orders: 600, skus: 4, stock: 40, workers: 3})
	stops := make([]func(), s.workers)
	for i := range stops {
		stops[i] = n.Run(s.worker())
	}
	for first := 0; first < s.orders; first += 60 {
		if err := s.place(ctx, first, first+60); err != nil {
			t.Fatal(err)
		}
		if first == 120 {
			n.Restart()
		}
	}
	if err := s.settle(ctx); err != nil {
		t.Fatal(err)
	}
	rows, err := s.check(ctx)
	if err != nil {
		t.Fatal(err)
	}
	left, served := inTurn(&s.plan)
	for i, r := range rows {
		want := row{sku: s.sku(i), orders: 300, refused: 300 - served[i], sold: 40 - left[i], left: left[i]}
		if i > 0 {
			want.orders, want.refused = 100, 100-served[i]
		}
		if r != want {
			t.Errorf("%+v, want %+v", r, want)
		}
	}
	t.Logf("%+v, %d customers saw that they were late", rows, s.late)
}

// inTurn is the sale as it must be: who comes first is served first, one after the
// other.
func inTurn(p *plan) (left, served map[int]int) {
	left, served = map[int]int{}, map[int]int{}
	bySKU := map[string]int{}
	for i := range p.skus {
		left[i], bySKU[p.sku(i)] = p.stock, i
	}
	for i := range p.orders {
		o := p.order(i)
		if sku := bySKU[o.SKU]; left[sku] >= o.Quantity {
			left[sku] -= o.Quantity
			served[sku]++
		}
	}
	return left, served
}

// mistake is what a broken handler does with an order of so many pieces.
type mistake struct {
	take    func(quantity int) int
	sold    bool
	receipt bool
	err     error
}

func (m *mistake) sell(ctx context.Context, t *fenfa.Task) error {
	var o Order
	var s Stock
	if err := errors.Join(m.err, t.Decode(&o), t.State().Get(ctx, stockRecord, &s)); err != nil {
		return fenfa.Reject(err)
	}
	if n := m.take(o.Quantity); n != 0 {
		t.State().Put(stockRecord, Stock{Available: s.Available - n})
	}
	answer := Answer{Sold: m.sold}
	if m.receipt {
		answer.Receipt = fenfa.NewID()
		t.Emit(fenfa.NewTask(receipts, Receipt{Order: t.ID()}, fenfa.Key(o.Customer), fenfa.WithID(answer.Receipt)))
	}
	return t.Return(answer)
}

// TestTheCheckFindsWhatABrokenHandlerDoes sells with handlers that have a mistake
// each. The check must name it.
func TestTheCheckFindsWhatABrokenHandlerDoes(t *testing.T) {
	n, ctx := fenfatest.Start(t), bounded(t)
	all := func(quantity int) int { return quantity }
	tooMany := func(quantity int) int { return quantity + 1 }
	nothing := func(int) int { return 0 }
	for name, c := range map[string]struct {
		mistake
		want string
	}{
		"does not look at the stock": {mistake{take: all, sold: true, receipt: true}, "oversold by order"},
		"takes a piece too many":     {mistake{take: tooMany, sold: true, receipt: true}, "order 0 of 1 pieces took [2]"},
		"forgets to take":            {mistake{take: nothing, sold: true, receipt: true}, "order 0 of 1 pieces was sold and is lost"},
		"forgets the receipt":        {mistake{take: all, sold: true}, "order 0 has 0 receipts, want 1"},
		"takes and refuses":          {mistake{take: all}, "order 0 was refused and took [1]"},
		"refuses everybody":          {mistake{take: nothing}, "order 0 of 1 pieces was refused with 5 left"},
		"gives up":                   {mistake{err: io.ErrUnexpectedEOF}, "is dead: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openShop(ctx, t, n, plan{prefix: name, orders: 12, skus: 2, stock: 5, workers: 2})
			s.sell = c.sell
			if _, err := s.run(ctx, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the check says %v, want %q", err, c.want)
			}
		})
	}
}

func TestTheExampleShowsTheStockAndATable(t *testing.T) {
	n, ctx := fenfatest.Start(t), bounded(t)
	var out bytes.Buffer
	p := plan{prefix: "x", orders: 100, skus: 3, stock: 10, workers: 2}
	if err := inventory(ctx, n.Addr(), p, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"x/sku-0: 0 left\n", "100 orders in ", "SKU  orders  sold out  stock  sold  left",
		"x/sku-0      50  ", "nothing was lost, sold twice or oversold",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
	t.Log("\n" + out.String())
	if err := inventory(ctx, n.Addr(), p, &out); fenfa.CodeOf(err) != fenfa.CodeConflict {
		t.Errorf("a second sale of the same name: %v", err)
	}
	if err := inventory(ctx, n.Addr(), plan{orders: 1, skus: 1, stock: 1}, &out); err == nil {
		t.Error("a sale without workers")
	}
}

// TestNotEverythingIsSoldToFewCustomers has a stock that is larger than what is asked
// for: the view of it ends all the same.
func TestNotEverythingIsSoldToFewCustomers(t *testing.T) {
	n, ctx := fenfatest.Start(t), bounded(t)
	s := openShop(ctx, t, n, plan{prefix: "few", orders: 3, skus: 1, stock: 100, workers: 1})
	var out bytes.Buffer
	rows, err := s.run(ctx, &out)
	if want := fmt.Sprint([]row{{sku: "few/sku-0", orders: 3, sold: 6, left: 94}}); err != nil || fmt.Sprint(rows) != want {
		t.Errorf("%v, want %s (%v)", rows, want, err)
	}
}

// TestThePageTellsOfWhatIsSoldOut asks the page until it knows what is gone: it may be
// behind, but then it is never wrong.
func TestThePageTellsOfWhatIsSoldOut(t *testing.T) {
	n, ctx := fenfatest.Start(t), bounded(t)
	s := openShop(ctx, t, n, plan{prefix: "page", orders: 20, skus: 1, stock: 4, workers: 1})
	n.Run(s.worker())
	if err := s.place(ctx, 0, 10); err != nil {
		t.Fatal(err)
	}
	if err := s.settle(ctx); err != nil {
		t.Fatal(err)
	}
	for o, known := s.order(2), false; !known && ctx.Err() == nil; {
		known = s.soldOut(ctx, &o)
	}
	before := s.late
	if err := s.place(ctx, 10, 20); err != nil {
		t.Fatal(err)
	}
	if err := s.settle(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.check(ctx); err != nil {
		t.Error(err)
	}
	if s.late == before || s.late > 10 {
		t.Errorf("%d customers saw that it was sold out, want some of 10", s.late)
	}
}
