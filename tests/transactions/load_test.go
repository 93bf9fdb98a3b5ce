package transactions

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/history"
	"github.com/fenfa/fenfa/tests/harness"
)

// group is how many accounts money moves between: a few, so that a moment without a
// transfer comes often enough to read all of them.
const group = 4

// load is clients that move money until they are stopped, each until it knows what
// became of every transfer.
type load struct {
	*bank
	stop  chan struct{}
	all   sync.WaitGroup
	moved atomic.Int64
	reads atomic.Int64

	mu    sync.Mutex
	want  map[string]int
	tasks []fenfa.ID
}

func (l *load) start(clients int) {
	l.stop, l.want = make(chan struct{}), map[string]int{}
	for i := range clients {
		rng := rand.New(rand.NewPCG(uint64(i), 0))
		l.all.Go(func() {
			for serial := 0; !l.stopped(); serial++ {
				at := rng.IntN(len(l.accounts)/group) * group
				from, to := l.accounts[at+rng.IntN(group)], l.accounts[at+rng.IntN(group)]
				switch {
				case from == to:
				case i%2 == 0:
					l.submit(from, to, serial)
				default:
					l.commit(from, to)
				}
			}
		})
	}
	l.all.Go(func() {
		for at := 0; !l.stopped(); at = (at + group) % len(l.accounts) {
			l.auditGroup(at)
		}
	})
}

func (l *load) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

func (l *load) happened(from, to string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.want[from]--
	l.want[to]++
	l.moved.Add(1)
}

// submit hands a transfer in as a task, and now and then waits for it.
func (l *load) submit(from, to string, serial int) {
	x := fenfa.NewTask("transfers", transfer{To: []string{to}, Serial: serial}, fenfa.Key(from))
	for {
		if _, err := l.client.Submit(l.t.Context(), x); err == nil {
			break
		} else if l.t.Context().Err() != nil {
			return
		}
	}
	l.mu.Lock()
	l.tasks = append(l.tasks, x.ID())
	l.mu.Unlock()
	l.happened(from, to)
	if serial%10 == 9 {
		l.awaitTask(x.ID())
	}
}

func (l *load) awaitTask(id fenfa.ID) {
	for l.t.Context().Err() == nil {
		st, err := l.client.Task(l.t.Context(), id)
		if err == nil && st.State.Final() {
			if st.State != fenfa.StateDone {
				l.t.Errorf("task %s is %s: %s", id, st.State, st.Error)
			}
			return
		}
	}
}

// commit moves money by a commit, again and again until it happened.
func (l *load) commit(from, to string) {
	for !l.stopped() {
		have, a := l.read(l.t.Context(), from)
		other, b := l.read(l.t.Context(), to)
		commit := l.client.State().NewCommit().Put(from, "balance", have-1, a).Put(to, "balance", other+1, b)
		_, err := l.repeat(commit)
		if err == nil {
			l.happened(from, to)
			return
		}
		if !errors.Is(err, fenfa.ErrConflict) {
			l.t.Errorf("transfer from %s to %s: %v", from, to, err)
			return
		}
	}
}

// auditGroup holds the sum of a group, whenever it stands still for long enough.
func (l *load) auditGroup(at int) {
	amounts, still := l.balances(l.t.Context(), l.accounts[at:at+group])
	if !still {
		return
	}
	l.reads.Add(1)
	sum := 0
	for _, amount := range amounts {
		sum += amount
	}
	if sum != group*opening {
		l.t.Errorf("the accounts from %s on sum to %d, not %d: %v", l.accounts[at], sum, group*opening, amounts)
	}
}

// theSumStaysWhileAllIsKilledAndFrozen moves money while the node and its databases are
// killed and frozen, then holds the sum, each balance, and the order of all changes.
func theSumStaysWhileAllIsKilledAndFrozen(t *testing.T, p *place) {
	t.Helper()
	l := &load{bank: newBank(t, p, 6*group)}
	l.open()
	l.serve()
	l.start(6)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	f := &faults{bank: l.bank, servers: p.servers, rng: rand.New(rand.NewPCG(seed, 0))}
	f.run(t, duration(t))
	t.Logf("what was in doubt ended %v after the last fault", l.awaitEndOf(time.Now()).Round(time.Millisecond))
	close(l.stop)
	l.all.Wait()
	for _, id := range l.tasks {
		l.awaitTask(id)
	}
	t.Logf("%d faults: %d transfers, %d reads of a group", f.count, l.moved.Load(), l.reads.Load())
	l.awaitCertainty()
	harness.Await(t, "all accounts stand still", func(ctx context.Context) bool { return l.audit(ctx) })
	for _, key := range l.accounts {
		if have, _ := l.read(l.t.Context(), key); have != opening+l.want[key] {
			t.Errorf("%s has %d, want %d", key, have, opening+l.want[key])
		}
	}
	l.checkOrder()
	harness.Audit(t, l.client)
}

// checkOrder reads the op log and holds that all changes have an order.
func (l *load) checkOrder() {
	l.t.Helper()
	var h history.History
	at := map[fenfa.ID]int{}
	for _, key := range l.accounts {
		for after := uint64(0); ; {
			changes, next, err := l.client.State().History(l.t.Context(), key, "balance", after, 1000)
			if err != nil {
				l.t.Fatal(err)
			}
			for i := range changes {
				ch := &changes[i]
				n, known := at[ch.Transaction]
				if !known || ch.Transaction == (fenfa.ID{}) {
					n = len(h.Transactions)
					at[ch.Transaction] = n
					h.Transactions = append(h.Transactions, history.Transaction{ID: fmt.Sprintf("%s of %s %d", ch.Transaction, key, ch.Seq)})
				}
				x := &h.Transactions[n]
				x.Reads = append(x.Reads, history.Seen{Key: key, Name: "balance", Version: ch.VersionBefore})
				x.Writes = append(x.Writes, history.Seen{Key: key, Name: "balance", Version: ch.VersionAfter})
			}
			if after = next; next == 0 {
				break
			}
		}
	}
	if r := history.Check(h); !r.OK() {
		l.t.Error(r.String())
	}
	l.t.Logf("%d transactions have an order", len(h.Transactions))
}

// duration says when it has been enough: after FENFA_BANK, else after 5 faults.
func duration(t *testing.T) (enough func(faults int) bool) {
	t.Helper()
	const few = 5
	s := os.Getenv("FENFA_BANK")
	if s == "" {
		return func(faults int) bool { return faults >= few }
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("read FENFA_BANK: %v", err)
	}
	end := time.Now().Add(d)
	return func(int) bool { return time.Now().After(end) }
}
