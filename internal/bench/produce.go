package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fenfa/fenfa"
)

// producing is how tasks are submitted: by several goroutines, each of which
// waits for the confirm of its batch before it submits the next one.
type producing struct {
	tasks    int64         // in all; 0: until duration is over
	duration time.Duration // 0: until tasks are submitted
	key      string        // of all tasks; empty: none
	keys     int           // instead of key: the tasks are dealt out to as many entities
	confirm  *latencies    // nil: not of interest
	admit    func(ctx context.Context, n int) error
	due      func(n uint64) time.Duration // since the rig was made: a task waits until then, and is stamped with it; nil: none waits
}

// produce submits and returns how many tasks were confirmed.
func (r *rig) produce(ctx context.Context, p producing) (confirmed int64, err error) {
	var next, done atomic.Int64
	deadline := r.now() + p.duration
	group, ctx := errgroup.WithContext(ctx)
	for range r.cfg.Producers {
		group.Go(func() error {
			for {
				from := next.Add(int64(r.cfg.Batch)) - int64(r.cfg.Batch)
				n := int64(r.cfg.Batch)
				if p.tasks > 0 {
					n = min(n, p.tasks-from)
				}
				if n <= 0 || p.tasks == 0 && r.now() >= deadline {
					return nil
				}
				if p.admit != nil {
					if err := p.admit(ctx, int(n)); err != nil {
						return err
					}
				}
				took, err := r.submit(ctx, uint64(from), int(n), p)
				if err != nil {
					return err
				}
				done.Add(n)
				if p.confirm != nil {
					p.confirm.record(uint64(from), took, n)
				}
			}
		})
	}
	err = group.Wait()
	return done.Load(), err
}

// submit submits tasks with the numbers from first on, in one call, and returns
// how long it took to confirm them.
func (r *rig) submit(ctx context.Context, first uint64, n int, p producing) (time.Duration, error) {
	began := r.now()
	if n == 1 && p.due == nil {
		if _, err := r.client.Submit(ctx, r.task(began, first, p.keyOf(first))); err != nil {
			return 0, fmt.Errorf("submit task: %w", err)
		}
		return r.now() - began, nil
	}
	tasks := make([]*fenfa.Task, n)
	for i := range tasks {
		if n := first + uint64(i); p.due != nil {
			due := p.due(n)
			tasks[i] = fenfa.NewTask(queue, stamp(r.cfg.Payload, due, n), fenfa.RunAt(r.epoch.Add(due)))
		} else {
			tasks[i] = r.task(began, n, p.keyOf(n))
		}
	}
	results, err := r.client.SubmitBatch(ctx, tasks)
	for i := range results {
		if err == nil {
			err = results[i].Err
		}
	}
	if err != nil {
		return 0, fmt.Errorf("submit tasks: %w", err)
	}
	return r.now() - began, nil
}

// keyOf returns the key of a task.
func (p *producing) keyOf(n uint64) string {
	if p.keys == 0 {
		return p.key
	}
	return "entity-" + strconv.FormatUint(n%uint64(p.keys), 10)
}

func (r *rig) task(at time.Duration, n uint64, key string) *fenfa.Task {
	payload := stamp(r.cfg.Payload, at, n)
	if key == "" {
		return fenfa.NewTask(queue, payload)
	}
	return fenfa.NewTask(queue, payload, fenfa.Key(key))
}
