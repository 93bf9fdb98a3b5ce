package demo

import "github.com/fenfa/fenfa/internal/orders"

// recordName is the record of a SKU that holds its stock.
const recordName = "stock"

// Stock is the value of a SKU's stock record.
type Stock struct {
	Available int64 `json:"available"`
}

// Answer is the result of an order: what the handler decided, and who decided it
// when.
type Answer struct {
	SKU        string `json:"sku"`
	Accepted   bool   `json:"accepted"`         // false: sold out, nothing was changed
	Reason     string `json:"reason,omitempty"` // "sold_out"
	StockAfter int64  `json:"stock_after"`
	Worker     string `json:"worker"`
	StartedUS  int64  `json:"started_us"` // start of the handler, microseconds since the Unix epoch
}

const reasonSoldOut = "sold_out"

// Decide applies an order to a stock: it takes its pieces if that many are there,
// or puts them back. It returns the stock afterwards and whether the order was
// accepted; an order that was not changes nothing.
func Decide(available, pieces int64) (after int64, accepted bool) {
	if pieces > available && pieces > 0 {
		return available, false
	}
	return available - pieces, true
}

// expectation is what the model says of one order.
type expectation struct {
	accepted   bool
	stockAfter int64
}

// model is a plain sequential pass over the input: each order is decided in its
// turn over the stock that the ones before it left. Orders for which skip is true
// had no effect.
//
// It is written out once more here, and not by Decide, so that a mistake in the
// handler's arithmetic cannot hide in its own check.
func model(list *orders.List, skip func(order int) bool) (expected []expectation, final map[string]int64) {
	final = list.InitialStock()
	expected = make([]expectation, len(list.Orders))
	for i := range list.Orders {
		o := &list.Orders[i]
		stock := final[o.SKU]
		if skip(i) {
			continue
		}
		enough := stock-o.Pieces >= 0
		putsBack := o.Pieces < 0
		if enough || putsBack {
			stock -= o.Pieces
			expected[i].accepted = true
		}
		final[o.SKU] = stock
		expected[i].stockAfter = stock
	}
	return expected, final
}
