package fenfa

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Wait returns how a task has ended, as soon as it has: its state says whether it is
// done, dead, cancelled or expired. It gets over lost connections and restarts of the
// node. It fails with ctx, and with CodeNotFound where the node does not know the
// task, or does not keep its result any more.
func (c *Client) Wait(ctx context.Context, id ID) (*TaskStatus, error) {
	for st, err := range c.WaitAll(ctx, id) {
		if err != nil {
			return nil, err
		}
		return st, nil
	}
	return nil, fmt.Errorf("wait for task %s: %w", id, context.Cause(ctx))
}

// SubmitAndWait submits a task and waits until it has ended, or, where it is the only
// one of its content and another one is there already, until that has.
func (c *Client) SubmitAndWait(ctx context.Context, t *Task) (*TaskStatus, error) {
	id, err := c.Submit(ctx, t)
	if err != nil {
		return nil, err
	}
	return c.Wait(ctx, id)
}

// WaitAll yields each of the tasks, at most 10,000, as soon as it has ended, in the order in which they
// do, and one that the node does not know in StateUnknown with an error of
// CodeNotFound. It gets over lost connections and restarts of the node. When ctx ends,
// or the node refuses, it yields that error last, without a task.
func (c *Client) WaitAll(ctx context.Context, ids ...ID) iter.Seq2[*TaskStatus, error] {
	return func(yield func(*TaskStatus, error) bool) {
		left := make(map[ID]struct{}, len(ids))
		for _, id := range ids {
			left[id] = struct{}{}
		}
		for failures := 0; len(left) > 0; {
			before := len(left)
			more, err := c.waitSome(ctx, left, yield)
			if !more {
				return
			}
			switch {
			case err == nil || len(left) < before:
				failures = 0
			default:
				failures++
			}
			if err == nil {
				continue
			}
			if code := CodeOf(err); ctx.Err() != nil || code != CodeUnavailable && code != CodeResourceExhausted {
				yield(nil, fmt.Errorf("wait for %d tasks: %w", len(left), err))
				return
			}
			c.cfg.logger.WarnContext(ctx, "wait for tasks was interrupted", "addr", c.addr, "error", err, "failures", failures)
			pause(ctx, backoffDelay(max(failures, 1)))
		}
	}
}

// waitSome waits until all have ended or the stream breaks, and takes those out that
// have ended. more is false once the caller has enough.
func (c *Client) waitSome(ctx context.Context, left map[ID]struct{}, yield func(*TaskStatus, error) bool) (more bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.await(ctx, c.conn)
	req := &fenfav1.WaitManyRequest{}
	for id := range left {
		req.Ids = append(req.Ids, id.String())
	}
	stream, err := c.tasks.WaitMany(ctx, req)
	if err != nil {
		return true, c.errorOf(ctx, err)
	}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return true, c.errorOf(ctx, err)
		}
		id, err := ParseID(resp.GetId())
		if err != nil {
			return true, errorf(CodeInternal, "the node tells of a task whose ID it cannot be: %w", err)
		}
		delete(left, id)
		if !yield(endOf(id, resp)) {
			return false, nil
		}
	}
}

// endOf is what the node tells of a task's end.
func endOf(id ID, w *fenfav1.WaitManyResponse) (*TaskStatus, error) {
	if w.GetError() != nil {
		return &TaskStatus{ID: id, State: StateUnknown}, fmt.Errorf("wait for task: %w", errorFromWire(w.GetError()))
	}
	return statusOf(id, w.GetStatus()), nil
}
