package fenfa

import (
	"context"
	"errors"
	"slices"
	"time"
)

// notNow tells a refusal by the node that a repeat may overcome.
func notNow(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == CodeUnavailable && !e.unknown && !e.unsent
}

// repeat submits again what the node refused for now, in order, until nothing of
// that is left, the submit timeout is over or ctx ends.
func (c *Client) repeat(ctx context.Context, tasks []*Task, results []SubmitResult) {
	deadline := time.Now().Add(c.cfg.submitTimeout)
	for round := 1; ; round++ {
		again := repeatable(tasks, results)
		if len(again) == 0 || time.Now().After(deadline) {
			return
		}
		delay := backoffDelay(round)
		if e, ok := errors.AsType[*Error](results[again[0]].Err); ok && e.RetryAfter > 0 {
			delay = e.RetryAfter
		}
		if pause(ctx, min(delay, time.Until(deadline))); ctx.Err() != nil {
			return
		}
		tickets := make([]ticket, len(again))
		for k, i := range again {
			tickets[k] = c.begin(ctx, tasks[i])
		}
		for k, i := range again {
			before := results[i].Err
			results[i] = tickets[k].wait(ctx)
			results[i].Err = withReason(results[i].Err, before)
		}
	}
}

// withReason adds to an error of the client's own, which knows nothing but that no
// answer came, why the node refused the same task before.
func withReason(err, before error) error {
	refusal, ok := errors.AsType[*Error](before)
	if !ok || !notAnswered(err) {
		return err
	}
	own, _ := errors.AsType[*Error](err) // As notAnswered found it.
	e := *own
	e.Message += "; the last answer was: " + refusal.Message
	return &e
}

// repeatable returns the indexes, in order, of the tasks that may be submitted
// again without coming behind a later task of their key.
func repeatable(tasks []*Task, results []SubmitResult) []int {
	type lane struct{ queue, key string }
	passed := make(map[lane]bool)
	var again []int
	for i, r := range slices.Backward(results) {
		switch {
		case r.Err == nil && tasks[i].Key() != "":
			passed[lane{tasks[i].Queue(), tasks[i].Key()}] = true
		case notNow(r.Err) && !passed[lane{tasks[i].Queue(), tasks[i].Key()}]:
			again = append(again, i)
		}
	}
	slices.Reverse(again)
	return again
}
