package orders

import (
	"fmt"
	"math/rand/v2"

	"github.com/fenfa/fenfa/internal/taskfile"
)

// seed makes every synthetic input the same one: a repeated demo submits orders
// that are there already.
const seed = 0x66656e6661 // "fenfa"

// cancelEvery is how many synthetic lines there are to a cancellation, on
// average.
const cancelEvery = 50

// Synthetic describes an input that is made up.
type Synthetic struct {
	Orders int     // lines, at least 1
	SKUs   int     // different SKUs, at least 1
	Hot    float64 // share of lines that are for the first SKU, 0 to 1
}

// Validate reports the first field that is out of range.
func (s Synthetic) Validate() error {
	switch {
	case s.Orders < 1 || s.Orders > 10_000_000:
		return fmt.Errorf("orders is %d: want 1 to 10000000", s.Orders)
	case s.SKUs < 1 || s.SKUs > 1_000_000:
		return fmt.Errorf("skus is %d: want 1 to 1000000", s.SKUs)
	case !(s.Hot >= 0 && s.Hot <= 1):
		return fmt.Errorf("hot is %v: want a share from 0 to 1", s.Hot)
	}
	return nil
}

// List makes the lines: 1 to 12 pieces each, one in fifty of them a
// cancellation.
func (s Synthetic) List() (*List, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(seed, uint64(s.SKUs)))
	identity := taskfile.NewIdentity(Queue)
	list := &List{Orders: make([]Order, 0, s.Orders)}
	for line := 1; line <= s.Orders; line++ {
		sku := 0
		if random.Float64() >= s.Hot {
			sku = random.IntN(s.SKUs)
		}
		quantity, cancel := 1+random.IntN(12), ""
		if random.IntN(cancelEvery) == 0 {
			quantity, cancel = -quantity, "C"
		}
		payload := fmt.Appendf(nil, `{"InvoiceNo":"%s%07d","StockCode":"SKU-%05d","Quantity":"%d"}`, cancel, line, sku, quantity)
		if err := list.add(line, identity.Next(payload), payload); err != nil {
			return nil, fmt.Errorf("make line %d: %w", line, err)
		}
	}
	return list, nil
}
