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

// report is a task that is unique by its customer.
func report(customer int, asked string, key ...string) *fenfa.Task {
	opts := []fenfa.TaskOption{fenfa.OnlyOne(fenfa.Unique{Args: []string{"customer"}})}
	if len(key) > 0 {
		opts = append(opts, fenfa.Key(key[0]))
	}
	return fenfa.NewTask("reports", map[string]any{"customer": customer, "asked": asked}, opts...)
}

// 64 submitters over several connections ask for the same at the same time, again and
// again: one is accepted each time, and all others are told of that one.
func TestOfManySubmitsOfTheSameOneIsAccepted(t *testing.T) {
	const submitters, rounds = 64, 5
	n := fenfatest.Start(t, fenfatest.WithQueues("reports"))
	clients := make([]*fenfa.Client, 8)
	for i := range clients {
		c, err := fenfa.Dial(n.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		clients[i] = c
	}
	for round := range rounds {
		for _, key := range [][]string{nil, {"k"}} {
			results := make([]fenfa.SubmitResult, submitters)
			var group sync.WaitGroup
			for i := range submitters {
				group.Go(func() {
					var err error
					if results[i], err = clients[i%len(clients)].SubmitResult(t.Context(), report(round, fmt.Sprint(i), key...)); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			accepted := 0
			for _, r := range results {
				if !r.Duplicate {
					accepted++
				}
				if r.ID != results[0].ID || r.State != fenfa.StateQueued && r.State != fenfa.StateReady {
					t.Errorf("round %d: one was told of %s (%s), another one of %s", round, r.ID, r.State, results[0].ID)
				}
			}
			if accepted != 1 {
				t.Errorf("round %d, key %v: %d were accepted", round, key, accepted)
			}
		}
	}
}

func TestATaskKeepsOthersOutUntilItHasEnded(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("reports"))
	c := n.Client()
	submit := func(task *fenfa.Task) fenfa.SubmitResult {
		t.Helper()
		r, err := c.SubmitResult(t.Context(), task)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := submit(report(1, "monday"))
	if r := submit(report(2, "monday")); r.Duplicate {
		t.Error("another customer's was kept out")
	}
	n.Restart()
	if r := submit(report(1, "tuesday")); !r.Duplicate || r.ID != first.ID {
		t.Errorf("after a restart: %+v", r)
	}
	if _, err := c.Cancel(t.Context(), first.ID, ""); err != nil {
		t.Fatal(err)
	}
	n.Await(t.Context(), first.ID)
	second := submit(report(1, "wednesday"))
	if second.Duplicate {
		t.Error("it was kept out by one that was cancelled")
	}
	w := c.Worker()
	w.Handle("reports", func(context.Context, *fenfa.Task) error { return nil })
	n.Run(w)
	n.Await(t.Context(), second.ID)
	third := report(1, "thursday")
	r := submit(third)
	if r.Duplicate {
		t.Error("it was kept out by one that is done")
	}
	n.Await(t.Context(), r.ID)
	if r := submit(third); !r.Duplicate || r.ID != third.ID() || r.State != fenfa.StateDone {
		t.Errorf("submitted again under its own id: %+v", r)
	}
	if r := submit(report(1, "friday")); r.Duplicate {
		t.Error("it was kept out by one that was submitted again after its end")
	}

	by := func(payload string) *fenfa.Task {
		return fenfa.NewTask("reports", payload, fenfa.OnlyOne(fenfa.Unique{By: "daily", Period: time.Hour}))
	}
	daily := submit(by("1"))
	n.Await(t.Context(), daily.ID)
	if r := submit(by("2")); !r.Duplicate || r.ID != daily.ID || r.State != fenfa.StateDone {
		t.Errorf("within the period: %+v", r)
	}
}

func TestTasksOfOneBatchMayBeTheSame(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("reports"))
	batch := []*fenfa.Task{report(1, "a"), fenfa.NewTask("reports", 1), report(1, "b"), report(2, "c")}
	results, err := n.Client().SubmitBatch(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, false, true, false} {
		if results[i].Duplicate != want || results[i].Err != nil {
			t.Errorf("task %d: %+v", i, results[i])
		}
	}
	if results[2].ID != results[0].ID {
		t.Errorf("the second was told of %s, want %s", results[2].ID, results[0].ID)
	}
	_, err = n.Client().Submit(t.Context(), fenfa.NewTask("reports", "no object", fenfa.OnlyOne(fenfa.Unique{Args: []string{"x"}})))
	if fenfa.CodeOf(err) != fenfa.CodeInvalidArgument {
		t.Errorf("fields of no object: %v", err)
	}
}

// A task that is to be unique only while it waits may be there again once it runs; a
// dead letter comes back only while nobody else has its content.
func TestStatesThatHoldAContentAreChosen(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("refresh"))
	c := n.Client()
	refresh := func(opts ...fenfa.LifeState) *fenfa.Task {
		return fenfa.NewTask("refresh", 1, fenfa.OnlyOne(fenfa.Unique{States: opts}))
	}
	waiting := []fenfa.LifeState{fenfa.StateQueued, fenfa.StateScheduled}
	first, err := c.SubmitResult(t.Context(), refresh(waiting...))
	if err != nil || first.Duplicate {
		t.Fatalf("the first one: %+v, %v", first, err)
	}
	if again, err := c.SubmitResult(t.Context(), refresh(waiting...)); err != nil || again.ID != first.ID {
		t.Errorf("while it waits: %+v, %v", again, err)
	}
	runs, end := make(chan fenfa.ID), make(chan error)
	w := c.Worker()
	w.Handle("refresh", func(_ context.Context, task *fenfa.Task) error {
		runs <- task.ID()
		return <-end
	})
	n.Run(w)
	<-runs
	second, err := c.SubmitResult(t.Context(), refresh(waiting...))
	if err != nil || second.Duplicate {
		t.Fatalf("while the first one runs: %+v, %v", second, err)
	}
	end <- fenfa.Reject(errors.New("no"))
	n.Await(t.Context(), first.ID)
	<-runs // The second one runs: the first one may come back.
	if err := c.RequeueDead(t.Context(), first.ID); err != nil {
		t.Error(err)
	}
	end <- nil
	<-runs
	end <- fenfa.Reject(errors.New("no"))
	n.Await(t.Context(), first.ID)
	third, err := c.SubmitResult(t.Context(), refresh())
	if err != nil || third.Duplicate {
		t.Fatalf("after both: %+v, %v", third, err)
	}
	if err := c.RequeueDead(t.Context(), first.ID); fenfa.CodeOf(err) != fenfa.CodeConflict || !strings.Contains(err.Error(), third.ID.String()) {
		t.Errorf("requeue while another one has the content: %v", err)
	}
	<-runs
	end <- nil

	for name, u := range map[string]fenfa.Unique{
		"no period": {States: []fenfa.LifeState{fenfa.StateDone}},
		"no end":    {States: []fenfa.LifeState{fenfa.StateQueued}, Period: time.Hour},
		"no state":  {States: []fenfa.LifeState{"asleep"}},
		"empty":     {States: []fenfa.LifeState{""}},
		"unknown":   {States: []fenfa.LifeState{fenfa.StateUnknown}},
	} {
		if _, err := c.Submit(t.Context(), fenfa.NewTask("refresh", 1, fenfa.OnlyOne(u))); fenfa.CodeOf(err) != fenfa.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}
