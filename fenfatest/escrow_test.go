package fenfatest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// stocked declares the stock of a key.
func stocked(t *testing.T, c *fenfa.Client, key string, x fenfa.Escrow) {
	t.Helper()
	if _, err := c.State().NewCommit().Escrow(key, "stock", x, 0).Do(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// stock reads one.
func stock(t *testing.T, c *fenfa.Client, key string) (r fenfa.Record, x fenfa.Escrow) {
	t.Helper()
	r, err := c.State().Get(t.Context(), key, "stock")
	if err == nil {
		err = r.Decode(&x)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r, x
}

func TestManyTransactionsAddToOneCounterWithoutConflicts(t *testing.T) {
	n := fenfatest.Start(t)
	c := n.Client()
	stocked(t, c, "SKU-1", fenfa.Escrow{Value: 1000})
	keys := accounts(8)
	for _, key := range keys {
		stocked(t, c, key, fenfa.Escrow{})
	}
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			for range 20 {
				if _, err := c.State().NewCommit().Add("SKU-1", "stock", -1).Add(keys[i%len(keys)], "stock", 1).Do(t.Context()); err != nil {
					t.Errorf("a commit that adds: %v", err)
				}
			}
		})
	}
	group.Wait()
	sum := int64(0)
	for _, key := range append(keys, "SKU-1") {
		r, x := stock(t, c, key)
		if !r.Escrow {
			t.Errorf("%+v is not shown as a counter", r)
		}
		sum += x.Value
	}
	if _, x := stock(t, c, "SKU-1"); x.Value != 1000-320 || sum != 1000 {
		t.Errorf("%d are left, and %d in all", x.Value, sum)
	}
	if rows := audited(t, c); rows < 640 {
		t.Errorf("the audit saw %d rows", rows)
	}
}

func TestACounterSaysWhyItRefuses(t *testing.T) {
	n := fenfatest.Start(t)
	c, most := n.Client(), int64(10)
	stocked(t, c, "SKU-1", fenfa.Escrow{Value: 5, Max: &most})
	stocked(t, c, "SKU-2", fenfa.Escrow{})
	r, _ := stock(t, c, "SKU-1")
	if _, err := c.State().Put(t.Context(), "plain", "stock", 1, 0); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		commit *fenfa.Commit
		code   fenfa.Code
		bound  bool
	}{
		"below min":                  {c.State().NewCommit().Add("SKU-1", "stock", -6), fenfa.CodeFailedPrecondition, true},
		"above max":                  {c.State().NewCommit().Add("SKU-1", "stock", 6), fenfa.CodeFailedPrecondition, true},
		"below min, beside another":  {c.State().NewCommit().Add("SKU-2", "stock", -1).Add("SKU-1", "stock", 1), fenfa.CodeFailedPrecondition, true},
		"a put":                      {c.State().NewCommit().Put("SKU-1", "stock", 1, r.Version), fenfa.CodeFailedPrecondition, false},
		"a delete":                   {c.State().NewCommit().Delete("SKU-1", "stock", r.Version), fenfa.CodeFailedPrecondition, false},
		"an addition to what is not": {c.State().NewCommit().Add("plain", "stock", 1), fenfa.CodeFailedPrecondition, false},
		"an addition to nothing":     {c.State().NewCommit().Add("none", "stock", 1), fenfa.CodeFailedPrecondition, false},
		"nothing to add":             {c.State().NewCommit().Add("SKU-1", "stock", 0), fenfa.CodeInvalidArgument, false},
		"declared beyond its bounds": {c.State().NewCommit().Escrow("SKU-3", "stock", fenfa.Escrow{Value: 11, Max: &most}, 0), fenfa.CodeInvalidArgument, false},
		"declared over what is not":  {c.State().NewCommit().Escrow("SKU-1", "stock", fenfa.Escrow{}, 0), fenfa.CodeConflict, false},
	} {
		_, err := tt.commit.Do(t.Context())
		if fenfa.CodeOf(err) != tt.code || errors.Is(err, fenfa.ErrBound) != tt.bound {
			t.Errorf("%s: %v (%s)", name, err, fenfa.CodeOf(err))
		}
	}
	if _, err := c.State().PutAny(t.Context(), "SKU-1", "stock", 7); fenfa.CodeOf(err) != fenfa.CodeFailedPrecondition {
		t.Errorf("a plain write: %v", err)
	}
	for _, commit := range []*fenfa.Commit{
		c.State().NewCommit().Escrow("SKU-1", "stock", fenfa.Escrow{Value: 20}, r.Version),
		c.State().NewCommit().Add("SKU-1", "stock", 1),
	} {
		if _, err := commit.Do(t.Context()); err != nil {
			t.Errorf("declared anew: %v", err)
		}
	}
	r, x := stock(t, c, "SKU-1")
	if x.Value != 21 || x.Max != nil {
		t.Errorf("declared anew it is %+v", x)
	}
	if _, err := c.State().NewCommit().DeleteEscrow("SKU-1", "stock", r.Version).Do(t.Context()); err != nil {
		t.Error(err)
	}
	changes, _, err := c.State().History(t.Context(), "SKU-1", "stock", 0, 0)
	if err != nil || len(changes) != 4 || changes[2].Op != "escrow" || string(changes[2].Value) != `{"value":21,"min":0}` || changes[3].Op != "delete" {
		t.Errorf("the history is %+v (%v)", changes, err)
	}
	audited(t, c)
}

func TestHandlersSellWhatIsThereAndThenSayThatItIsSoldOut(t *testing.T) {
	for name, key := range map[string]func(i int) string{
		"of another key":   func(i int) string { return fmt.Sprint("buyer-", i) },
		"of their own key": func(int) string { return "SKU-1" },
	} {
		t.Run(name, func(t *testing.T) {
			n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "orders"}))
			c := n.Client()
			stocked(t, c, "SKU-1", fenfa.Escrow{Value: 20})
			w := c.Worker(fenfa.Concurrency(8))
			w.Handle("orders", func(ctx context.Context, t *fenfa.Task) error {
				err := t.State().Of("SKU-1").Add(ctx, "stock", -1)
				if errors.Is(err, fenfa.ErrBound) {
					return t.Return("sold out")
				} else if err != nil {
					return err
				}
				return t.Return("sold")
			})
			var tasks []*fenfa.Task
			for i := range 60 {
				x := fenfa.NewTask("orders", i, fenfa.Key(key(i)))
				if _, err := c.Submit(t.Context(), x); err != nil {
					t.Fatal(err)
				}
				tasks = append(tasks, x)
			}
			stop := n.Run(w)
			got := map[string]int{}
			for _, x := range tasks {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				st := n.Await(ctx, x.ID())
				cancel()
				if st.State != fenfa.StateDone || st.Attempts != 0 {
					t.Fatalf("task %s: %+v", x.ID(), st)
				}
				got[string(st.Result)]++
			}
			stop()
			if _, x := stock(t, c, "SKU-1"); x.Value != 0 || got["sold"]+got[`"sold"`] != 20 || len(got) != 2 {
				t.Errorf("%d are left, and the results are %v", x.Value, got)
			}
			audited(t, c)
		})
	}
}

func TestAHandlerSeesWhatItAdds(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "q"}))
	c := n.Client()
	stocked(t, c, "k", fenfa.Escrow{Value: 5})
	w := c.Worker()
	w.Handle("q", func(ctx context.Context, t *fenfa.Task) error {
		s := t.State()
		if err := errors.Join(s.Add(ctx, "stock", -2), s.Add(ctx, "stock", -1)); err != nil {
			return err
		}
		if err := s.Add(ctx, "stock", -3); !errors.Is(err, fenfa.ErrBound) {
			return fmt.Errorf("3 of 2: %w", err)
		}
		var x fenfa.Escrow
		if err := s.Get(ctx, "stock", &x); err != nil {
			return err
		}
		return t.Return(x.Value)
	})
	x := fenfa.NewTask("q", nil, fenfa.Key("k"))
	if _, err := c.Submit(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	stop := n.Run(w)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	st := n.Await(ctx, x.ID())
	stop()
	if _, now := stock(t, c, "k"); st.State != fenfa.StateDone || string(st.Result) != "2" || now.Value != 2 {
		t.Errorf("%+v, and %d are left", st, now.Value)
	}
}
