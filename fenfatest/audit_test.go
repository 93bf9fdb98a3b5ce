package fenfatest_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// TestAnAuditFindsNothingWhileEverythingIsBusy audits a node while tasks and
// transactions across partitions change records, and after that.
func TestAnAuditFindsNothingWhileEverythingIsBusy(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("q"))
	c := n.Client()
	w := c.Worker(fenfa.Concurrency(8))
	w.Handle("q", func(ctx context.Context, task *fenfa.Task) error {
		var count int
		if err := task.State().Get(ctx, "count", &count); err != nil && !errors.Is(err, fenfa.ErrNotFound) {
			return err
		}
		task.State().Put("count", count+1)
		return nil
	})
	n.Run(w)
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for i := range 400 {
			if _, err := c.Submit(t.Context(), fenfa.NewTask("q", i, fenfa.Key(fmt.Sprint("k", i%7)))); err != nil {
				t.Error(err)
			}
		}
	})
	for from := range 3 {
		group.Go(func() {
			for i := range 60 {
				shift(t, c, fmt.Sprint("account-", from), fmt.Sprint("account-", (from+1+i%2)%3))
			}
		})
	}
	go func() {
		group.Wait()
		close(done)
	}()
	for rounds := 0; ; rounds++ {
		audited(t, c)
		select {
		case <-done:
			if audited(t, c) == 0 {
				t.Error("the audit looked at nothing")
			}
			return
		default:
		}
	}
}

// audited fails the test for each difference, and returns how many rows were looked
// at.
func audited(t *testing.T, c *fenfa.Client) (rows uint64) {
	t.Helper()
	sums, err := c.Audit(t.Context(), fenfa.AuditOptions{Busy: 1, Found: func(d fenfa.AuditDifference) { t.Errorf("found %+v", d) }})
	if err != nil {
		t.Error(err)
	}
	for _, sum := range sums {
		rows += sum.Rows
	}
	return rows
}

// shift moves 1 from one account to another, of whatever partitions they are.
func shift(t *testing.T, c *fenfa.Client, from, to string) {
	t.Helper()
	for {
		commit := c.State().NewCommit()
		for key, delta := range map[string]int{from: -1, to: 1} {
			rec, err := c.State().Get(t.Context(), key, "balance")
			balance := 0
			switch {
			case err == nil:
				if balance, err = strconv.Atoi(string(rec.Value)); err != nil {
					t.Error(err)
					return
				}
			case !errors.Is(err, fenfa.ErrNotFound):
				t.Error(err)
				return
			}
			commit.Put(key, "balance", balance+delta, rec.Version)
		}
		_, err := commit.Do(t.Context())
		if err == nil {
			return
		}
		if code := fenfa.CodeOf(err); code != fenfa.CodeConflict && code != fenfa.CodeUnavailable {
			t.Error(err)
			return
		}
	}
}
