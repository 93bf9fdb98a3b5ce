package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
	"github.com/fenfa/fenfa/internal/mariadbserver"
	"github.com/fenfa/fenfa/internal/mariadbserver/mariadbtest"
)

// Each test has this many users, of several partitions, with this much money each.
const (
	users   = 8
	deposit = 50
)

// TestMoneyMovesInOrderAndNoneIsLost has the accounts in partitions beside the node.
func TestMoneyMovesInOrderAndNoneIsLost(t *testing.T) {
	newBank(t, fenfatest.Start(t)).everything(t)
}

// TestMoneyMovesBetweenTwoShards has the accounts in two databases on servers of
// their own: about half of the transfers change both.
func TestMoneyMovesBetweenTwoShards(t *testing.T) {
	var addresses []string
	for range 2 {
		// The servers are not killed: what they write needs no sync.
		server := mariadbtest.Private(t, mariadbserver.Config{Settings: []string{"--innodb-flush-method=nosync"}})
		address, err := server.Database(t.Context(), "wallet")
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, address)
	}
	b := newBank(t, fenfatest.Start(t, fenfatest.WithStore(addresses...)))
	b.everything(t)
	on := make([]int, len(addresses))
	for shard, address := range addresses {
		db, err := mariadbserver.Open(address)
		if err != nil {
			t.Fatal(err)
		}
		err = db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM record WHERE name = 'account'").Scan(&on[shard])
		if err = errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if slices.Contains(on, 0) || on[0]+on[1] != users {
		t.Errorf("the shards have %v accounts", on)
	}
}

// bank is the wallet of a node, and what is known of it.
type bank struct {
	node  *fenfatest.Node
	w     *Wallet
	names []string
}

func newBank(t *testing.T, n *fenfatest.Node) *bank {
	t.Helper()
	w, err := NewWallet(t.Context(), n.Client())
	if err != nil {
		t.Fatal(err)
	}
	b := &bank{node: n, w: w}
	for i := range users {
		b.names = append(b.names, fmt.Sprint("user-", i))
		for range 2 { // an account that is there stays
			if err := w.Open(t.Context(), b.names[i], deposit); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b
}

// everything makes transfers, restarts the node meanwhile, and holds the total at
// every look, the order of each user's transfers, and every balance.
func (b *bank) everything(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	worker := b.node.Client().Worker(fenfa.Concurrency(4))
	worker.Handle(queue, carryOut)
	b.node.Run(worker)
	stop := b.watch(t, ctx)
	var all []Transfer
	for i := range 120 {
		x := Transfer{From: b.names[i%users], To: b.names[(i*3+1)%users], Amount: i % 30}
		if x.From == x.To {
			continue
		}
		all = append(all, x)
		if err := b.w.Submit(ctx, x); err != nil {
			t.Fatal(err)
		}
		if i == 60 {
			b.node.Restart()
		}
	}
	total, err := b.w.Settle(ctx, b.names)
	looks := stop()
	if err != nil || total != users*deposit {
		t.Errorf("in the end there are %d units, %v", total, err)
	}
	want, refused := b.receipts(t, ctx, all)
	for _, user := range b.names {
		r, err := b.node.Client().State().Get(ctx, user, "account")
		var a Account
		if err == nil {
			err = r.Decode(&a)
		}
		if err != nil || a.Balance != deposit+want[user] || a.Balance < 0 {
			t.Errorf("%s has %d, want %d (%v)", user, a.Balance, deposit+want[user], err)
		}
	}
	t.Logf("%d transfers, %d refused for want of money, %d looks at the total", len(all), refused, looks)
}

// watch reads the total all the time. The returned function ends that, and says how
// often it was read.
func (b *bank) watch(t *testing.T, ctx context.Context) (stop func() int) { //nolint:revive // The test comes first in helpers.
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	looks := 0
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil {
			switch total, err := b.w.Total(ctx, b.names); {
			case err == nil && total != users*deposit:
				t.Errorf("look %d finds %d units", looks, total)
			case err == nil:
				looks++
			case ctx.Err() == nil && !errors.Is(err, fenfa.ErrUnavailable): // It is while the node restarts.
				t.Error(err)
			}
		}
	})
	return func() int {
		cancel()
		group.Wait()
		return looks
	}
}

// receipts holds that the transfers of each user were carried out in their order,
// and returns by how much that changed each balance.
func (b *bank) receipts(t *testing.T, ctx context.Context, all []Transfer) (want map[string]int, refused int) { //nolint:revive // The test comes first in helpers.
	t.Helper()
	want = map[string]int{}
	sent := map[string]int{}
	for i, x := range all {
		r, err := b.w.Receipt(ctx, b.w.ids[i])
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
	return want, refused
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
