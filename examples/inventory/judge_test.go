package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fenfa/fenfa"
)

// soldEvidence is that of three orders of a stock of 5: two pieces, refused 4, three
// pieces; nothing is wrong with it.
func soldEvidence() *evidence {
	e := &evidence{sku: "s", stock: 5, left: 0, receipts: map[fenfa.ID]int{}}
	for i, quantity := range []int{2, 4, 3} {
		e.orders = append(e.orders, placed{Order: Order{SKU: "s", Quantity: quantity}, id: fenfa.DeriveID(fmt.Sprint(i)), answer: Answer{Sold: i != 1}})
	}
	e.change(0, 3)
	e.change(2, 0)
	e.receipts[e.orders[0].id], e.receipts[e.orders[2].id] = 1, 1
	return e
}

// change adds a change by the order at this place.
func (e *evidence) change(order, available int) {
	e.changes = append(e.changes, fenfa.Change{
		Seq: uint64(10 + len(e.changes)), TaskID: e.orders[order].id, Value: fmt.Appendf(nil, `{"available":%d}`, available),
	})
}

func TestTheJudgeNamesWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(e *evidence)
		want  string // the whole verdict
	}{
		"nothing": {func(*evidence) {}, ""},
		"sold twice": {func(e *evidence) {
			e.changes = e.changes[:1]
			e.change(0, 1)
			e.change(2, -2)
			e.left = -2
		}, "s: oversold by order 2: -2 are left\ns: order 0 of 2 pieces took [2 2]\ns: 5 are sold and -2 are left of 5"},
		"lost": {func(e *evidence) {
			e.changes, e.left = e.changes[:1], 3
		}, "s: order 2 of 3 pieces was sold and is lost\ns: 5 are sold and 3 are left of 5"},
		"no order of turns": {func(e *evidence) {
			e.changes = nil
			e.change(2, 2)
			e.change(0, 0)
		}, "s: order 0 was served after order 2"},
		"by nobody": {func(e *evidence) {
			e.changes[1].TaskID = fenfa.ID{}
		}, "s: change 11 is of no order\ns: order 2 of 3 pieces was sold and is lost"},
		"by an order of another SKU": {func(e *evidence) {
			e.changes[1].TaskID = fenfa.DeriveID("other")
		}, "s: change 11 is of no order\ns: order 2 of 3 pieces was sold and is lost"},
		"the record is not what the op log says": {func(e *evidence) {
			e.left = 1
		}, "s: the op log ends with 0, and the record is 1\ns: 5 are sold and 1 are left of 5"},
		"refused too early": {func(e *evidence) {
			e.orders[1].Quantity = 3
		}, "s: order 1 of 3 pieces was refused with 3 left"},
		"refused and taken": {func(e *evidence) {
			e.orders[2].answer.Sold, e.receipts[e.orders[2].id] = false, 0
		}, "s: order 2 was refused and took [3]\ns: 2 are sold and 0 are left of 5"},
		"two receipts": {func(e *evidence) {
			e.receipts[e.orders[0].id] = 2
		}, "s: order 0 has 2 receipts, want 1"},
		"a receipt for nothing": {func(e *evidence) {
			e.receipts[e.orders[1].id] = 1
		}, "s: order 1 has 1 receipts, want 0"},
	} {
		t.Run(name, func(t *testing.T) {
			e := soldEvidence()
			c.spoil(e)
			_, err := e.judge()
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("the verdict is\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestTheJudgeCounts(t *testing.T) {
	r, err := soldEvidence().judge()
	if want := (row{sku: "s", orders: 3, refused: 1, sold: 5}); err != nil || r != want {
		t.Errorf("%+v, want %+v (%v)", r, want, err)
	}
}

func TestTheJudgeDoesNotTakeWhatItCannotRead(t *testing.T) {
	e := soldEvidence()
	e.changes[0].Value = []byte("many")
	if _, err := e.judge(); err == nil || !strings.Contains(err.Error(), "read change 10") {
		t.Errorf("the verdict is %v", err)
	}
}
