package fenfatest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// accounts names so many accounts; the partitions of a node share them.
func accounts(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprint("account-", i)
	}
	return keys
}

func open(t *testing.T, c *fenfa.Client, keys []string, amount int) {
	t.Helper()
	for _, key := range keys {
		put(t, c, key, "balance", amount)
	}
}

// total reads all balances as they were at one moment: a commit that only reads
// says that they were.
func total(t *testing.T, c *fenfa.Client, keys []string) int {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		commit, sum := c.State().NewCommit(), 0
		for _, key := range keys {
			r, err := c.State().Get(t.Context(), key, "balance")
			if err != nil {
				t.Fatal(err)
			}
			var amount int
			if err := r.Decode(&amount); err != nil {
				t.Fatal(err)
			}
			sum += amount
			commit.Read(key, "balance", r.Version)
		}
		_, err := commit.Do(t.Context())
		if err == nil {
			return sum
		}
		if !errors.Is(err, fenfa.ErrConflict) {
			t.Fatal(err)
		}
	}
	t.Fatal("no moment was quiet enough to read all accounts")
	return 0
}

type transfer struct {
	To     string `json:"to"`
	Amount int    `json:"amount"`
}

// move is the handler of a transfer from the task's key.
func move(ctx context.Context, t *fenfa.Task) error {
	var x transfer
	if err := t.Decode(&x); err != nil {
		return fenfa.Reject(err)
	}
	var from, to int
	if err := t.State().Get(ctx, "balance", &from); err != nil {
		return err
	}
	other := t.State().Of(x.To)
	if err := other.Get(ctx, "balance", &to); err != nil {
		return err
	}
	t.State().Put("balance", from-x.Amount)
	other.Put("balance", to+x.Amount)
	return t.Return(from - x.Amount)
}

func TestAHandlerChangesRecordsOfOtherKeysWhollyAndOnce(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "transfers"}))
	c := n.Client()
	keys := accounts(12)
	open(t, c, keys, 100)
	var tasks []*fenfa.Task
	for i := range 200 {
		x := transfer{To: keys[(i*7+3)%len(keys)], Amount: i%5 + 1}
		if from := keys[i%len(keys)]; from != x.To {
			tasks = append(tasks, fenfa.NewTask("transfers", x, fenfa.Key(from)))
		}
	}
	want := map[string]int{}
	for i := range 200 {
		if from, to := keys[i%len(keys)], keys[(i*7+3)%len(keys)]; from != to {
			want[from] -= i%5 + 1
			want[to] += i%5 + 1
		}
	}
	for _, x := range tasks {
		if _, err := c.Submit(t.Context(), x); err != nil {
			t.Fatal(err)
		}
	}
	w := c.Worker(fenfa.Concurrency(8))
	w.Handle("transfers", move)
	stop := n.Run(w)
	for _, x := range tasks {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		st := n.Await(ctx, x.ID())
		cancel()
		if st.State != fenfa.StateDone || st.Attempts != 0 {
			t.Fatalf("task %s: %+v: a conflict is no failed attempt", x.ID(), st)
		}
	}
	stop()
	if sum := total(t, c, keys); sum != 100*len(keys) {
		t.Errorf("the accounts sum to %d", sum)
	}
	for _, key := range keys {
		r, err := c.State().Get(t.Context(), key, "balance")
		var have int
		if err == nil {
			err = r.Decode(&have)
		}
		if err != nil || have != 100+want[key] {
			t.Errorf("%s has %d, want %d (%v)", key, have, 100+want[key], err)
		}
	}
	wantBothSides(t, c, keys)
}

// wantBothSides holds that each transaction of the op log changed two accounts, and
// that there are some.
func wantBothSides(t *testing.T, c *fenfa.Client, keys []string) {
	t.Helper()
	sides := map[fenfa.ID]int{}
	for _, key := range keys {
		changes, _, err := c.State().History(t.Context(), key, "balance", 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, ch := range changes {
			if ch.Transaction != (fenfa.ID{}) {
				sides[ch.Transaction]++
			}
		}
	}
	for tx, n := range sides {
		if n != 2 {
			t.Errorf("transaction %s changed %d accounts", tx, n)
		}
	}
	if len(sides) == 0 {
		t.Error("no row of the op log names a transaction")
	}
}

func TestACommitHappensWhollyOrNotAtAll(t *testing.T) {
	c := fenfatest.Start(t).Client()
	keys := accounts(6)
	open(t, c, keys, 100)
	s := c.State()
	versions := map[string]uint64{}
	for _, key := range keys {
		r, err := s.Get(t.Context(), key, "balance")
		if err != nil {
			t.Fatal(err)
		}
		versions[key] = r.Version
	}
	change := func(values ...int) *fenfa.Commit {
		commit := s.NewCommit()
		for i, value := range values {
			commit.Put(keys[i], "balance", value, versions[keys[i]])
		}
		return commit
	}
	first := change(70, 130, 90, 110)
	done, err := first.Do(t.Context())
	if err != nil || done.Transaction == (fenfa.ID{}) || done.Duplicate {
		t.Fatalf("%+v, %v", done, err)
	}
	again, err := first.Do(t.Context())
	if err != nil || !again.Duplicate || again.Transaction != done.Transaction {
		t.Errorf("a repeat is answered with %+v, %v", again, err)
	}
	_, err = change(0, 0, 0, 0, 0, 0).Do(t.Context())
	if !errors.Is(err, fenfa.ErrConflict) || !strings.Contains(err.Error(), "account-") || !strings.Contains(err.Error(), "version") {
		t.Errorf("a commit over old versions: %v", err)
	}
	if sum := total(t, c, keys); sum != 600 {
		t.Errorf("the accounts sum to %d", sum)
	}
	r, err := s.Get(t.Context(), keys[5], "balance")
	if err != nil || r.Version != versions[keys[5]] {
		t.Errorf("a commit that failed left %+v, %v", r, err)
	}
	if _, err := s.NewCommit().WithID(done.Transaction).Put(keys[0], "new", 1, 0).Delete(keys[5], "balance", r.Version).Do(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(t.Context(), keys[5], "balance"); !errors.Is(err, fenfa.ErrNotFound) {
		t.Errorf("a deleted record: %v", err)
	}
}

func TestACommitThatCanNeverBeSaysWhy(t *testing.T) {
	c := fenfatest.Start(t).Client()
	s := c.State()
	large := s.NewCommit()
	for i := range 300 {
		large.Put(fmt.Sprint("k", i), "n", 1, 0)
	}
	heavy := s.NewCommit()
	for i := range 13 {
		heavy.Put(fmt.Sprint("k", i), "n", make([]byte, 250<<10), 0)
	}
	for name, tt := range map[string]struct {
		commit *fenfa.Commit
		code   fenfa.Code
		words  string
	}{
		"nothing":    {s.NewCommit(), fenfa.CodeInvalidArgument, "no record"},
		"many":       {large, fenfa.CodeTooLarge, "256"},
		"heavy":      {heavy, fenfa.CodeTooLarge, "bytes"},
		"twice":      {s.NewCommit().Put("k", "n", 1, 0).Put("k", "n", 2, 0), fenfa.CodeInvalidArgument, "twice"},
		"no name":    {s.NewCommit().Put("k", "", 1, 0), fenfa.CodeInvalidArgument, "name"},
		"own name":   {s.NewCommit().Put("k", "fenfa.lock", 1, 0), fenfa.CodeInvalidArgument, "fenfa."},
		"one value":  {s.NewCommit().Put("k", "n", make([]byte, 300<<10), 0), fenfa.CodeTooLarge, "bytes"},
		"under lock": {s.Fenced("l", 3).NewCommit().Put("k", "n", 1, 0), fenfa.CodeStale, "lock"},
	} {
		if _, err := tt.commit.Do(t.Context()); fenfa.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.words) {
			t.Errorf("%s: %v (%v)", name, err, fenfa.CodeOf(err))
		}
	}
}

// TestMoneyStaysThroughRestartsOfTheNode moves money by tasks and by commits while
// the node is restarted.
func TestMoneyStaysThroughRestartsOfTheNode(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "transfers"}))
	c := n.Client()
	keys := accounts(8)
	open(t, c, keys, 100)
	w := c.Worker(fenfa.Concurrency(8))
	w.Handle("transfers", move)
	stop := n.Run(w)
	for range 3 {
		var clients sync.WaitGroup
		for i := range 4 {
			clients.Go(func() {
				for round := range 12 {
					from, to := keys[(round+i)%len(keys)], keys[(round*3+i+1)%len(keys)]
					switch {
					case from == to:
					case i%2 == 0:
						submitTransfer(t, c, from, to)
					default:
						commitTransfer(t, c, from, to)
					}
				}
			})
		}
		n.Restart()
		if sum := total(t, c, keys); sum != 100*len(keys) {
			t.Errorf("the accounts sum to %d", sum)
		}
		clients.Wait()
	}
	stop()
	if sum := total(t, c, keys); sum != 100*len(keys) {
		t.Errorf("at the end the accounts sum to %d", sum)
	}
}

// submitTransfer submits a task until a node has it.
func submitTransfer(t *testing.T, c *fenfa.Client, from, to string) {
	t.Helper()
	x := fenfa.NewTask("transfers", transfer{To: to, Amount: 1}, fenfa.Key(from))
	for end := time.Now().Add(patience); ; {
		if _, err := c.Submit(t.Context(), x); err == nil {
			return
		} else if time.Now().After(end) {
			t.Errorf("submit: %v", err)
			return
		}
	}
}

// commitTransfer moves money by a commit, until that is known to have happened or not.
func commitTransfer(t *testing.T, c *fenfa.Client, from, to string) {
	t.Helper()
	ctx, s := t.Context(), c.State()
	var commit *fenfa.Commit
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if commit == nil {
			a, errA := s.Get(ctx, from, "balance")
			b, errB := s.Get(ctx, to, "balance")
			var have, other int
			if errors.Join(errA, errB) != nil || errors.Join(a.Decode(&have), b.Decode(&other)) != nil {
				continue
			}
			commit = s.NewCommit().Put(from, "balance", have-1, a.Version).Put(to, "balance", other+1, b.Version)
		}
		_, err := commit.Do(ctx)
		switch {
		case err == nil:
			return
		case errors.Is(err, fenfa.ErrConflict):
			commit = nil
		case !errors.Is(err, fenfa.ErrUnavailable):
			t.Error(err)
			return
		}
	}
	t.Errorf("a transfer from %s to %s never came through", from, to)
}
