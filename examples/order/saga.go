package main

import (
	"context"
	"errors"
	"time"

	"github.com/fenfa/fenfa"
)

// Queues of the four departments.
const (
	orders   = "orders"
	stock    = "stock"
	payment  = "payment"
	shipping = "shipping"
)

// Order is what a saga begins with.
type Order struct {
	SKU      string `json:"sku"`
	Customer string `json:"customer"`
	Quantity int    `json:"quantity"`
	Price    int    `json:"price"` // of all of it, in cents
	Address  string `json:"address"`
	Fail     string `json:"fail,omitempty"` // the step that fails, to see what happens
}

// Stock is the record of an SKU.
type Stock struct {
	Available int `json:"available"`
	Reserved  int `json:"reserved"`
}

// Account is the record of a customer, in cents.
type Account struct {
	Balance int `json:"balance"`
	Paid    int `json:"paid"`
}

// Receipt is what the step pay returns.
type Receipt struct {
	Number string `json:"number"`
}

// definition is the saga: each step has its undo.
func definition() *fenfa.SagaDefinition {
	undo := &fenfa.Compensation{}
	quick := fenfa.RetryPolicy{Base: 10 * time.Millisecond, Max: 100 * time.Millisecond, MaxAttempts: 3}
	return fenfa.NewSaga("order").
		Then(fenfa.Step{Name: "accept", Queue: orders, Key: "order/${saga.id}", Retry: quick, Compensation: undo}).
		Then(fenfa.Step{Name: "reserve", Queue: stock, Key: "sku/${input.sku}", Retry: quick, Compensation: undo}).
		Then(fenfa.Step{Name: "pay", Queue: payment, Key: "customer/${input.customer}", Retry: quick, Compensation: undo}).
		Then(fenfa.Step{Name: "ship", Queue: shipping, Key: "order/${saga.id}", Retry: quick, Compensation: undo})
}

// worker returns a worker that does all steps and undoes them.
func worker(client *fenfa.Client) *fenfa.Worker {
	w := client.Worker()
	w.Handle(orders, departmentOf(setState("accepted"), setState("cancelled")))
	w.Handle(stock, departmentOf(reserve, release))
	w.Handle(payment, departmentOf(pay, refund))
	w.Handle(shipping, departmentOf(ship, recall))
	return w
}

// handler does or undoes a step of an order.
type handler func(ctx context.Context, t *fenfa.Task, o *Order) error

// departmentOf is the handler of a queue: it does a step, or undoes it.
func departmentOf(do, undo handler) fenfa.HandlerFunc {
	return func(ctx context.Context, t *fenfa.Task) error {
		var o Order
		if err := t.Decode(&o); err != nil {
			return fenfa.Reject(err)
		}
		if t.Saga().Compensation() {
			return undo(ctx, t, &o)
		}
		if o.Fail == t.Saga().Step() {
			return fenfa.Reject(errors.New("it fails on purpose"))
		}
		return do(ctx, t, &o)
	}
}

func setState(state string) handler {
	return func(_ context.Context, t *fenfa.Task, _ *Order) error {
		t.State().Put("state", state)
		return nil
	}
}

func reserve(ctx context.Context, t *fenfa.Task, o *Order) error {
	return move(ctx, t, func(s *Stock) error {
		if s.Available < o.Quantity {
			return fenfa.Reject(errors.New("sold out"))
		}
		s.Available, s.Reserved = s.Available-o.Quantity, s.Reserved+o.Quantity
		return nil
	})
}

func release(ctx context.Context, t *fenfa.Task, o *Order) error {
	return move(ctx, t, func(s *Stock) error {
		s.Available, s.Reserved = s.Available+o.Quantity, s.Reserved-o.Quantity
		return nil
	})
}

func pay(ctx context.Context, t *fenfa.Task, o *Order) error {
	err := move(ctx, t, func(a *Account) error {
		if a.Balance < o.Price {
			return fenfa.Reject(errors.New("not enough money"))
		}
		a.Balance, a.Paid = a.Balance-o.Price, a.Paid+o.Price
		return nil
	})
	if err != nil {
		return err
	}
	return t.Return(Receipt{Number: t.ID().String()})
}

func refund(ctx context.Context, t *fenfa.Task, o *Order) error {
	return move(ctx, t, func(a *Account) error {
		a.Balance, a.Paid = a.Balance+o.Price, a.Paid-o.Price
		return nil
	})
}

func ship(_ context.Context, t *fenfa.Task, o *Order) error {
	if o.Address == "" {
		return fenfa.Reject(errors.New("nobody lives there"))
	}
	var receipt Receipt
	if _, err := t.Saga().Result("pay", &receipt); err != nil {
		return err
	}
	t.State().Put("parcel", map[string]string{"to": o.Address, "receipt": receipt.Number})
	return nil
}

func recall(_ context.Context, t *fenfa.Task, _ *Order) error {
	t.State().Delete("parcel")
	return nil
}

// balanceRecord is the name of the records of stock and accounts.
const balanceRecord = "balance"

// move changes the record of the task's key, together with the task's outcome.
func move[T any](ctx context.Context, t *fenfa.Task, change func(*T) error) error {
	var record T
	if err := t.State().Get(ctx, balanceRecord, &record); err != nil {
		return err
	}
	if err := change(&record); err != nil {
		return err
	}
	t.State().Put(balanceRecord, record)
	return nil
}
