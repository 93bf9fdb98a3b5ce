package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

func TestOrdersThatFailAtAnyStepLeaveNothingBehind(t *testing.T) {
	n := fenfatest.Start(t)
	rep, err := run(t.Context(), n.Client(), "t", 90)
	if err != nil {
		t.Fatal(err)
	}
	if rep.done != 50 {
		t.Errorf("%d orders are done, want 50", rep.done)
	}
	for _, step := range []string{"accept", "reserve", "pay", "ship"} {
		if rep.compensated[step] != 10 {
			t.Errorf("%d orders failed at %s, want 10", rep.compensated[step], step)
		}
	}
	for i, want := range map[int]string{0: "accepted", 5: "", 8: "cancelled"} {
		r, err := n.Client().State().Get(t.Context(), "order/"+idOf("t", i), "state")
		switch {
		case want == "" && !errors.Is(err, fenfa.ErrNotFound):
			t.Errorf("order %d was never accepted and has %s, %v", i, r.Value, err)
		case want != "" && (err != nil || string(r.Value) != want):
			t.Errorf("order %d is %s, want %s (%v)", i, r.Value, want, err)
		}
	}
	parcel, err := n.Client().State().Get(t.Context(), "order/"+idOf("t", 0), "parcel")
	if err != nil || !strings.Contains(string(parcel.Value), `"to":"0 Main Street"`) || strings.Contains(string(parcel.Value), `"receipt":""`) {
		t.Errorf("the parcel is %s, %v", parcel.Value, err)
	}
	if _, err := n.Client().State().Get(t.Context(), "order/"+idOf("t", 8), "parcel"); !errors.Is(err, fenfa.ErrNotFound) {
		t.Errorf("an order that was not shipped has a parcel: %v", err)
	}
}

func TestWhatIsSoldOutIsNotPaid(t *testing.T) {
	n := fenfatest.Start(t)
	c := n.Client()
	if err := prepare(t.Context(), c, "t"); err != nil {
		t.Fatal(err)
	}
	n.Run(worker(c))
	for id, o := range map[string]Order{
		"sold out": {SKU: skuOf("t", 0), Customer: customerOf("t", 0), Quantity: goods + 1, Price: 1, Address: "here"},
		"too poor": {SKU: skuOf("t", 0), Customer: customerOf("t", 0), Quantity: 1, Price: money + 1, Address: "here"},
		"nowhere":  {SKU: skuOf("t", 0), Customer: customerOf("t", 0), Quantity: 1, Price: 1},
	} {
		if _, _, err := c.Sagas().Start(t.Context(), "order", id, o); err != nil {
			t.Fatal(err)
		}
	}
	for id, reason := range map[string]string{"sold out": "sold out", "too poor": "not enough money", "nowhere": "nobody lives there"} {
		if saga := n.AwaitSaga(t.Context(), id); saga.Status != fenfa.SagaCompensated || !strings.Contains(saga.Reason, reason) {
			t.Errorf("order %s is %s: %s", id, saga.Status, saga.Reason)
		}
	}
	var s Stock
	var a Account
	if err := errors.Join(read(t.Context(), c, "sku/"+skuOf("t", 0), &s), read(t.Context(), c, "customer/"+customerOf("t", 0), &a)); err != nil {
		t.Fatal(err)
	}
	if s != (Stock{Available: goods}) || a != (Account{Balance: money}) {
		t.Errorf("stock %+v and account %+v have changed", s, a)
	}
}

func TestTheExampleRunsAgainstANode(t *testing.T) {
	n := fenfatest.Start(t)
	if err := order(t.Context(), n.Addr(), 18); err != nil {
		t.Error(err)
	}
}
