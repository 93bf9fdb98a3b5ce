package transactions

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/tests/harness"
)

// opening is what each account has at the beginning.
const opening = 1000

// bank is accounts on a node, no two neighbours of which are in one partition.
type bank struct {
	t         *testing.T
	node      *harness.Node
	client    *fenfa.Client
	accounts  []string
	databases []string // their addresses; none: the state is beside the node
}

// newBank opens so many accounts in a place.
func newBank(t *testing.T, p *place, n int) *bank {
	t.Helper()
	b := &bank{t: t, databases: p.databases(t)}
	b.node = harness.NewNode(t, t.TempDir(), flags(b.databases)...)
	for i, last := 0, -1; len(b.accounts) < n; i++ {
		key := fmt.Sprint("account-", i)
		if part := task.PartitionOf(key, task.DefaultPartitions); part != last {
			b.accounts, last = append(b.accounts, key), part
		}
	}
	return b
}

// open starts the node and puts money into the accounts.
func (b *bank) open() {
	b.t.Helper()
	b.node.Start()
	b.client = b.node.Dial()
	if _, _, err := b.client.ConfigureQueue(b.t.Context(), fenfa.Queue{Name: "transfers"}); err != nil {
		b.t.Fatal(err)
	}
	for _, key := range b.accounts {
		if _, err := b.client.State().Put(b.t.Context(), key, "balance", opening, 0); err != nil {
			b.t.Fatal(err)
		}
	}
}

// serve runs a worker that carries transfers out, until the test ends.
func (b *bank) serve() {
	b.t.Helper()
	w := b.client.Worker(fenfa.Concurrency(8))
	w.Handle("transfers", move)
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx) // a node that is killed is no error of the worker's
	}()
	b.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// transfer is the payload of a task.
type transfer struct {
	To     []string `json:"to"` // one unit each
	Serial int      `json:"serial"`
}

// move takes money from the task's key and gives it to others.
func move(ctx context.Context, t *fenfa.Task) error {
	var x transfer
	if err := t.Decode(&x); err != nil {
		return fenfa.Reject(err)
	}
	var have int
	if err := t.State().Get(ctx, "balance", &have); err != nil {
		return err
	}
	for _, to := range x.To {
		var other int
		if err := t.State().Of(to).Get(ctx, "balance", &other); err != nil {
			return err
		}
		t.State().Of(to).Put("balance", other+1)
	}
	t.State().Put("balance", have-len(x.To))
	return nil
}

// read returns a balance and its version, asking again while the node is away.
func (b *bank) read(ctx context.Context, key string) (amount int, version uint64) {
	for {
		r, err := b.client.State().Get(ctx, key, "balance")
		if err == nil {
			err = r.Decode(&amount)
		}
		switch {
		case err == nil:
			return amount, r.Version
		case !errors.Is(err, fenfa.ErrUnavailable) || ctx.Err() != nil:
			b.t.Errorf("read %s: %v", key, err)
			return 0, 0
		}
	}
}

// balances reads some accounts as they were at one moment, and reports false when
// they did not stand still for long enough.
func (b *bank) balances(ctx context.Context, accounts []string) (amounts []int, still bool) {
	commit := b.client.State().NewCommit()
	for _, key := range accounts {
		amount, version := b.read(ctx, key)
		amounts = append(amounts, amount)
		commit.Read(key, "balance", version)
	}
	for {
		_, err := commit.Do(ctx)
		switch {
		case err == nil:
			return amounts, true
		case errors.Is(err, fenfa.ErrConflict):
			return nil, false
		case !errors.Is(err, fenfa.ErrUnavailable) || ctx.Err() != nil:
			b.t.Errorf("audit: %v", err)
			return nil, false
		}
	}
}

// audit reads all accounts at one moment and holds their sum.
func (b *bank) audit(ctx context.Context) (still bool) {
	amounts, still := b.balances(ctx, b.accounts)
	if !still {
		return false
	}
	sum := 0
	for _, amount := range amounts {
		sum += amount
	}
	if sum != opening*len(b.accounts) {
		b.t.Errorf("the accounts sum to %d, not %d: %v", sum, opening*len(b.accounts), amounts)
	}
	return true
}

// awaitCertainty waits until no branch is in doubt, and no record held.
func (b *bank) awaitCertainty() {
	b.t.Helper()
	harness.Await(b.t, "no transaction is in doubt", func(ctx context.Context) bool {
		n, ok := b.metric(ctx, "fenfa_txn_in_doubt")
		return ok && n == 0
	})
	harness.Await(b.t, "no record is held", func(ctx context.Context) bool { return b.held(ctx) == 0 })
}

// awaitEndOf waits until no transaction is in doubt that began before a moment, while
// others go on, and returns how long that took from then on.
func (b *bank) awaitEndOf(moment time.Time) time.Duration {
	b.t.Helper()
	harness.Await(b.t, "no transaction from before the last fault is in doubt", func(ctx context.Context) bool {
		oldest, ok := b.metric(ctx, "fenfa_txn_in_doubt_oldest_start_seconds")
		return ok && (oldest == 0 || oldest > float64(moment.UnixMicro())/1e6)
	})
	return time.Since(moment)
}

// metric returns what the node says; ok is false when it does not answer.
func (b *bank) metric(ctx context.Context, name string) (value float64, ok bool) {
	text, err := b.node.Metrics(ctx)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(text) {
		if s, found := strings.CutPrefix(line, name+" "); found {
			value, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
			return value, err == nil
		}
	}
	b.t.Fatalf("the node does not say %s", name)
	return 0, false
}
