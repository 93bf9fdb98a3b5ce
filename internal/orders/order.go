package orders

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/fenfa/fenfa/internal/task"
)

// Queue is the queue that orders are submitted to. IDs depend on it.
const Queue = "orders"

// Columns that a line must have.
const (
	ColumnInvoice  = "InvoiceNo"
	ColumnSKU      = "StockCode"
	ColumnQuantity = "Quantity"
)

// maxPieces bounds the pieces of one line, so that no sum overflows.
const maxPieces = 1_000_000_000

// Order is one line of the input.
type Order struct {
	Line    int // in the input, counted from 1
	ID      task.ID
	Invoice string
	SKU     string
	Payload []byte // as it is submitted
	// Pieces is what the line takes from stock, or where it is negative what it
	// puts back. Never 0.
	Pieces int64
}

// Invalid is a line that cannot be an order. It is reported and not submitted.
type Invalid struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

// List is an input, in its own order.
type List struct {
	Orders  []Order
	Invalid []Invalid
}

// Payload is what a worker needs of an order's payload.
type Payload struct {
	Invoice  string `json:"InvoiceNo"`
	SKU      string `json:"StockCode"`
	Quantity string `json:"Quantity"`
}

// Pieces returns what the order takes from stock: its quantity, or for a
// cancellation (an invoice number that begins with C) or a negative quantity
// minus its size.
func (p Payload) Pieces() (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(p.Quantity), 10, 64)
	switch {
	case err != nil:
		return 0, fmt.Errorf("quantity %q is not a whole number", p.Quantity)
	case n == 0:
		return 0, fmt.Errorf("quantity is 0")
	case n > maxPieces || n < -maxPieces:
		return 0, fmt.Errorf("quantity %d is out of range: want at most %d", n, maxPieces)
	}
	if n > 0 && strings.HasPrefix(p.Invoice, "C") {
		n = -n
	}
	return n, nil
}

// add appends the order that a payload describes, or says why it is none.
func (l *List) add(line int, id task.ID, payload []byte) error {
	var p Payload
	if err := json.Unmarshal(payload, &p); err != nil {
		return fmt.Errorf("decode order: %w", err)
	}
	if p.SKU == "" {
		return fmt.Errorf("%s is empty", ColumnSKU)
	}
	if len(p.SKU) > task.MaxKey {
		return fmt.Errorf("%s has %d bytes; at most %d are allowed", ColumnSKU, len(p.SKU), task.MaxKey)
	}
	pieces, err := p.Pieces()
	if err != nil {
		return err
	}
	l.Orders = append(l.Orders, Order{Line: line, ID: id, Invoice: p.Invoice, SKU: p.SKU, Payload: payload, Pieces: pieces})
	return nil
}

// SKUs returns the SKUs in the order in which they appear.
func (l *List) SKUs() []string {
	seen := make(map[string]bool)
	var skus []string
	for i := range l.Orders {
		if sku := l.Orders[i].SKU; !seen[sku] {
			seen[sku] = true
			skus = append(skus, sku)
		}
	}
	return skus
}

// InitialStock returns the stock that each SKU begins with: half of the pieces
// that all its lines ask for, rounded up, so that every SKU that sells can sell
// out. What is put back does not count.
func (l *List) InitialStock() map[string]int64 {
	stock := make(map[string]int64)
	for i := range l.Orders {
		stock[l.Orders[i].SKU] += max(0, l.Orders[i].Pieces)
	}
	for sku, demand := range stock {
		stock[sku] = (demand + 1) / 2
	}
	return stock
}

// Fingerprint names the input: two lists have the same one if they have the same
// orders in the same order.
func (l *List) Fingerprint() string {
	h := sha256.New()
	for i := range l.Orders {
		h.Write(l.Orders[i].ID[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
