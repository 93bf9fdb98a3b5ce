package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// TestMoneyMovesInOrderAndNoneIsLost makes transfers between users of several
// partitions, restarts the node meanwhile, and holds the total at every look, the
// order of each user's transfers, and every balance.
func TestMoneyMovesInOrderAndNoneIsLost(t *testing.T) {
	n := fenfatest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	w, err := NewWallet(ctx, n.Client())
	if err != nil {
		t.Fatal(err)
	}
	users := make([]string, 8)
	for i := range users {
		users[i] = fmt.Sprint("user-", i)
		for range 2 { // an account that is there stays
			if err := w.Open(ctx, users[i], 50); err != nil {
				t.Fatal(err)
			}
		}
	}
	worker := n.Client().Worker(fenfa.Concurrency(4))
	worker.Handle(queue, carryOut)
	n.Run(worker)
	var all []Transfer
	for i := range 120 {
		x := Transfer{From: users[i%8], To: users[(i*3+1)%8], Amount: i % 30}
		if x.From == x.To {
			continue
		}
		all = append(all, x)
		if err := w.Submit(ctx, x); err != nil {
			t.Fatal(err)
		}
		if i == 60 {
			n.Restart()
		}
	}
	if total, err := w.Total(ctx, users); err != nil || total != 8*50 {
		t.Errorf("in the middle there are %d units, %v", total, err)
	}
	if total, err := w.Settle(ctx, users); err != nil || total != 8*50 {
		t.Errorf("in the end there are %d units, %v", total, err)
	}
	want, sent, refused := map[string]int{}, map[string]int{}, 0
	for i, x := range all {
		r, err := w.Receipt(ctx, w.ids[i])
		if err != nil {
			t.Fatal(err)
		}
		if sent[x.From]++; r.Order != sent[x.From] {
			t.Errorf("transfer %d of %s was carried out as number %d", sent[x.From], x.From, r.Order)
		}
		if !r.Done {
			refused++
			continue
		}
		want[x.From] -= x.Amount
		want[x.To] += x.Amount
	}
	for _, user := range users {
		r, err := n.Client().State().Get(ctx, user, "account")
		var a Account
		if err == nil {
			err = r.Decode(&a)
		}
		if err != nil || a.Balance != 50+want[user] || a.Balance < 0 {
			t.Errorf("%s has %d, want %d (%v)", user, a.Balance, 50+want[user], err)
		}
	}
	t.Logf("%d transfers, %d refused for want of money", len(all), refused)
}

func TestTheProgramRunsToItsEnd(t *testing.T) {
	n := fenfatest.Start(t)
	if err := run(t.Context(), n.Addr(), 5, 30); err != nil {
		t.Error(err)
	}
	if err := run(t.Context(), n.Addr(), 1, 1); err == nil {
		t.Error("a transfer between one user")
	}
}
