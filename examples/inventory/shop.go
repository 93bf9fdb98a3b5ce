package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fenfa/fenfa"
)

const (
	customers = 100
	most      = 250 // orders are placed so many at a time
)

func (p *plan) sku(i int) string      { return fmt.Sprint(p.prefix, "/sku-", i) }
func (p *plan) customer(i int) string { return fmt.Sprint(p.prefix, "/customer-", i%customers) }

// order is the i-th one: every second is for the first SKU.
func (p *plan) order(i int) Order {
	sku := 0
	if i%2 == 1 && p.skus > 1 {
		sku = 1 + i/2%(p.skus-1)
	}
	return Order{SKU: p.sku(sku), Customer: p.customer(i), Quantity: 1 + i%3}
}

// placed is an order and what became of it.
type placed struct {
	Order
	id     fenfa.ID // zero: the customer saw that it was sold out, and did not order
	answer Answer
}

// shop is a sale under way.
type shop struct {
	plan
	client *fenfa.Client
	page   *fenfa.Cache // what customers see before they order
	sell   fenfa.HandlerFunc
	placed []placed
	late   int // customers who saw that it was sold out
}

// open makes the queues and fills the stock.
func open(ctx context.Context, client *fenfa.Client, p plan) (*shop, error) {
	for _, name := range []string{orders, receipts} {
		if _, _, err := client.ConfigureQueue(ctx, fenfa.Queue{Name: name}); err != nil {
			return nil, err
		}
	}
	for i := range p.skus {
		if _, err := client.State().Put(ctx, p.sku(i), stockRecord, Stock{Available: p.stock}, 0); err != nil {
			return nil, err
		}
	}
	page, err := client.Cache(p.prefix+"/sku-", fenfa.CacheOptions{Name: stockRecord, Preload: true}) //nolint:contextcheck // It lives until close.
	if err != nil {
		return nil, err
	}
	return &shop{plan: p, client: client, page: page, sell: sell}, nil
}

func (s *shop) close() { s.page.Close() }

// run sells, waits for all answers and receipts, and checks them.
func (s *shop) run(ctx context.Context, out io.Writer) ([]row, error) {
	working, stopWorking := context.WithCancel(ctx)
	defer stopWorking()
	ended := make(chan error, s.workers)
	for range s.workers {
		go func() { ended <- s.worker().Run(working) }()
	}
	showing, stopShowing := context.WithCancel(ctx)
	defer stopShowing()
	shown := make(chan error, 1)
	go func() { shown <- s.show(showing, out) }()

	err := s.placeAll(ctx)
	if err == nil {
		err = s.settle(ctx)
	}
	stopWorking()
	for range s.workers {
		err = errors.Join(err, <-ended)
	}
	var rows []row
	if err == nil {
		rows, err = s.check(ctx)
	}
	if err != nil || rows[0].left > 0 {
		stopShowing() // else it ends with the last piece
	}
	return rows, errors.Join(err, <-shown)
}

func (s *shop) worker() *fenfa.Worker {
	w := s.client.Worker()
	w.Handle(orders, s.sell)
	w.Handle(receipts, issue)
	return w
}

// placeAll places all orders of the plan.
func (s *shop) placeAll(ctx context.Context) error {
	for first := 0; first < s.orders; first += most {
		if err := s.place(ctx, first, min(first+most, s.orders)); err != nil {
			return err
		}
	}
	return nil
}

// place submits the orders from first to end, unless the customer sees that it is too
// late.
func (s *shop) place(ctx context.Context, first, end int) error {
	var tasks []*fenfa.Task
	for i := first; i < end; i++ {
		p := placed{Order: s.order(i)}
		if s.soldOut(ctx, &p.Order) {
			s.late++
		} else {
			t := fenfa.NewTask(orders, p.Order, fenfa.Key(p.SKU))
			p.id, tasks = t.ID(), append(tasks, t)
		}
		s.placed = append(s.placed, p)
	}
	results, err := s.client.SubmitBatch(ctx, tasks)
	for i := range results {
		err = errors.Join(err, results[i].Err)
	}
	return err
}
