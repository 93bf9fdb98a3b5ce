package robustness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/tests/harness"
)

// A market sells one article by sagas and takes turns at a till that only a lock
// protects. It is opened while a server of the node's goes away.
const (
	article    = "article"
	till       = "till"
	steps      = "steps" // the queue of the sagas' steps
	stock      = 40
	purchases  = 30 // every third cannot be paid
	cashiers   = 3
	leastTurns = 20
	turnPace   = 30 * time.Millisecond // of a cashier, at most
)

// unpayable reports whether a purchase cannot be paid.
func unpayable(n int) bool { return n%3 == 0 }

type market struct {
	t       *testing.T
	client  *fenfa.Client
	closing chan struct{}
	all     sync.WaitGroup
	turns   atomic.Int64 // confirmed ones
	begun   atomic.Int64
}

// openMarket starts purchases, one after another, and the cashiers.
func openMarket(t *testing.T, client *fenfa.Client) *market {
	t.Helper()
	harness.Configure(t, client, fenfa.Queue{Name: steps, Retry: fenfa.RetryPolicy{Base: 10 * time.Millisecond, Max: 200 * time.Millisecond, MaxAttempts: 10_000}})
	d := fenfa.NewSaga("purchase").
		Then(fenfa.Step{Name: "reserve", Queue: steps, Key: "buyer-${saga.id}", Compensation: &fenfa.Compensation{}}).
		Then(fenfa.Step{Name: "pay", Queue: steps}).
		Then(fenfa.Step{Name: "ship", Queue: steps})
	if _, _, err := client.Sagas().Define(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if _, err := client.State().NewCommit().Escrow(article, "stock", fenfa.Escrow{Value: stock}, 0).Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := &market{t: t, client: client, closing: make(chan struct{})}
	m.serve()
	m.all.Go(m.purchase)
	for i := range cashiers {
		m.all.Go(func() { m.cashier(i) })
	}
	return m
}

// serve runs a worker for the steps until the test ends.
func (m *market) serve() {
	w := m.client.Worker(fenfa.WorkerID("market"), fenfa.Concurrency(8))
	w.Handle(steps, func(ctx context.Context, t *fenfa.Task) error {
		var n int
		switch s := t.Saga(); {
		case s.Compensation():
			return t.State().Of(article).Add(ctx, "stock", 1)
		case s.Step() == "reserve":
			return t.State().Of(article).Add(ctx, "stock", -1)
		case s.Step() == "pay" && t.Decode(&n) == nil && unpayable(n):
			return fenfa.Reject(errors.New("no money"))
		}
		return nil
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(m.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	m.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			m.t.Error(err)
		}
	})
}

// purchase starts the sagas, each again and again until somebody confirms it.
func (m *market) purchase() {
	for n := range purchases {
		err := harness.Eventually(m.t.Context(), "a purchase is confirmed", func(ctx context.Context) bool {
			_, _, err := m.client.Sagas().Start(ctx, "purchase", fmt.Sprint("purchase-", n), n)
			return m.answered("start a saga", err)
		})
		if err != nil {
			m.t.Error(err)
			return
		}
	}
}

// answered reports whether an operation has its answer. One that may succeed when it
// is tried again has none.
func (m *market) answered(what string, err error) bool {
	if err != nil && !passing(err) {
		m.t.Errorf("%s: %v", what, err)
	}
	return err == nil || !passing(err)
}

// cashier takes turns at the till until the market closes.
func (m *market) cashier(i int) {
	pace := time.NewTicker(turnPace)
	defer pace.Stop()
	for {
		select {
		case <-m.closing:
			return
		case <-pace.C:
			m.turn(fmt.Sprintf("cashier %d", i))
		}
	}
}

// turn adds one to what is in the till, without a version: only the lock keeps the
// turns apart.
func (m *market) turn(name string) {
	l, err := m.client.Lock(m.t.Context(), till, fenfa.LockHolder(name))
	if err != nil {
		m.answered("take the lock", err)
		return
	}
	m.begun.Add(1)
	n := 0
	read := harness.Eventually(l.Context(), "the till is read", func(ctx context.Context) bool {
		r, err := m.client.State().Get(ctx, till, "n")
		switch {
		case errors.Is(err, fenfa.ErrNotFound):
			return true
		case err == nil:
			err = r.Decode(&n)
		}
		return m.answered("read the till", err)
	})
	if read == nil {
		written := harness.Eventually(l.Context(), "the till is written", func(ctx context.Context) bool {
			_, err := m.client.State().Fenced(till, l.Token()).PutAny(ctx, till, "n", n+1)
			return m.answered("write the till", err)
		})
		if written == nil {
			m.turns.Add(1)
		}
	}
	// A lock that cannot be given back is free when its TTL is over.
	_ = l.Unlock(m.t.Context())
}

// close ends the turns, waits for the sagas, and holds that stock and till are what
// was confirmed, and that the op logs say so too.
func (m *market) close() {
	m.t.Helper()
	harness.Await(m.t, "the cashiers had their turns", func(context.Context) bool { return m.turns.Load() >= leastTurns })
	close(m.closing)
	m.all.Wait()
	sold := int64(0)
	for n := range purchases {
		want := fenfa.SagaDone
		if unpayable(n) {
			want = fenfa.SagaCompensated
		}
		harness.Await(m.t, fmt.Sprintf("purchase %d is %s", n, want), func(ctx context.Context) bool {
			saga, _, err := m.client.Sagas().Get(ctx, fmt.Sprint("purchase-", n))
			if err == nil && saga.Status.Final() && saga.Status != want {
				m.t.Fatalf("purchase %d is %s: %s", n, saga.Status, saga.Reason)
			}
			return err == nil && saga.Status == want
		})
		if want == fenfa.SagaDone {
			sold++
		}
	}
	var left fenfa.Escrow
	m.read(article, "stock", &left)
	if left.Value != stock-sold {
		m.t.Errorf("%d of %d were sold, and %d are left", sold, stock, left.Value)
	}
	var n int64
	m.read(till, "n", &n)
	if n < m.turns.Load() || n > m.begun.Load() || n == 0 {
		m.t.Errorf("there were %d turns at the till, %d of them confirmed, and it shows %d", m.begun.Load(), m.turns.Load(), n)
	}
	m.histories(till)
	harness.Audit(m.t, m.client)
	m.t.Logf("%d turns at the till, %d purchases, %d sold", n, purchases, sold)
}

func (m *market) read(key, name string, v any) {
	m.t.Helper()
	r, err := m.client.State().Get(m.t.Context(), key, name)
	if err == nil {
		err = r.Decode(v)
	}
	if err != nil {
		m.t.Error(err)
	}
}

// histories holds that the changes of a key's records, of which the lock's come and go,
// are the same from both ends.
func (m *market) histories(key string) {
	m.t.Helper()
	for _, name := range []string{"", "n", "fenfa.lock"} {
		up, down := m.history(key, name, false), m.history(key, name, true)
		slices.Reverse(down)
		if len(up) == 0 || !slices.Equal(up, down) {
			m.t.Errorf("record %q has changes %v, and from the end %v", name, up, down)
		}
	}
}

// history reads the numbers of all changes.
func (m *market) history(key, name string, newest bool) (seqs []uint64) {
	m.t.Helper()
	for opts := (fenfa.HistoryOptions{Newest: newest, Size: 7}); ; {
		page, err := m.client.State().HistoryPage(m.t.Context(), key, name, opts)
		if err != nil {
			m.t.Fatal(err)
		}
		for i := range page.Changes {
			seqs = append(seqs, page.Changes[i].Seq)
		}
		if !page.More() {
			return seqs
		}
		opts.After, opts.Token = page.After, page.Token
	}
}
