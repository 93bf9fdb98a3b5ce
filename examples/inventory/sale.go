package main

import (
	"context"

	"github.com/fenfa/fenfa"
)

// The queues. Orders have the SKU as their key, receipts the customer; tasks of one
// key run in the order in which they were submitted.
const (
	orders   = "orders"
	receipts = "receipts"
)

// stockRecord is the name of the record that each SKU has.
const stockRecord = "stock"

// Stock is the record of an SKU.
type Stock struct {
	Available int `json:"available"`
}

// Order is what a customer wants.
type Order struct {
	SKU      string `json:"sku"`
	Customer string `json:"customer"`
	Quantity int    `json:"quantity"`
}

// Answer is the result of an order.
type Answer struct {
	Sold    bool     `json:"sold"`    // false: sold out
	Receipt fenfa.ID `json:"receipt"` // the task that writes it; zero: sold out
}

// Receipt is the record of a customer for each order that was sold.
type Receipt struct {
	Order    fenfa.ID `json:"order"`
	SKU      string   `json:"sku"`
	Quantity int      `json:"quantity"`
}

// sell handles an order. The new stock, the receipt's task and the answer take effect
// together and once, however often the handler runs.
func sell(ctx context.Context, t *fenfa.Task) error {
	var o Order
	if err := t.Decode(&o); err != nil {
		return fenfa.Reject(err)
	}
	var s Stock
	if err := t.State().Get(ctx, stockRecord, &s); err != nil {
		return err
	}
	if s.Available < o.Quantity {
		return t.Return(Answer{}) // sold out: a result, not a failure
	}
	s.Available -= o.Quantity
	t.State().Put(stockRecord, s)
	id := fenfa.DeriveID("receipt", t.ID().String()) // the same one if the handler runs again
	t.Emit(fenfa.NewTask(receipts, Receipt{Order: t.ID(), SKU: o.SKU, Quantity: o.Quantity}, fenfa.Key(o.Customer), fenfa.WithID(id)))
	return t.Return(Answer{Sold: true, Receipt: id})
}

// issue handles a receipt.
func issue(_ context.Context, t *fenfa.Task) error {
	var r Receipt
	if err := t.Decode(&r); err != nil {
		return fenfa.Reject(err)
	}
	t.State().Put(r.Order.String(), r)
	return nil
}
