package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fenfa/fenfa"
)

// An open loop keeps its pace when it submits at least this share of its rate,
// and everything is started soon after the last submit.
const (
	paceShare = 0.99
	paceSlack = time.Second
)

// maxUnderWay bounds the submits of an open loop that wait for their confirm.
const maxUnderWay = 200_000

// paced measures latencies at a given rate, as an open loop: a task is due at its
// moment whatever became of the ones before, and its latencies count from that
// moment, not from when it could be sent. So a stall shows in every task that was
// due during it (no coordinated omission).
func paced(ctx context.Context, cfg Config, result *Result) error {
	if cfg.Tasks == 0 {
		cfg.Tasks = int(float64(cfg.Rate) * cfg.Duration.Seconds())
	}
	r, err := newRig(ctx, cfg, fenfa.Queue{Order: fenfa.OrderNone})
	if err != nil {
		return err
	}
	return withRig(ctx, r, func(ctx context.Context) error {
		if err := r.work(ctx, r.note); err != nil {
			return err
		}
		if _, err := r.produce(ctx, producing{tasks: int64(cfg.Rate)}); err != nil { // Warm up: connections, memory, the first tables.
			return err
		}
		if err := r.drained(ctx, int64(cfg.Rate)); err != nil {
			return err
		}
		r.started = newLatencies()
		fmt.Fprintf(cfg.Log, "submitting %d tasks, %d a second\n", cfg.Tasks, cfg.Rate)
		loop := &openLoop{rig: r, confirm: newLatencies(), task: func(due time.Duration, n uint64) *fenfa.Task { return r.task(due, n, "") }}
		var sent time.Duration
		err := r.measured(result, func() (int64, error) {
			began := r.now()
			if err := loop.run(ctx, cfg.Tasks, cfg.Rate); err != nil {
				return 0, err
			}
			sent = r.now() - began
			return int64(cfg.Tasks), r.drained(ctx, int64(cfg.Rate+cfg.Tasks))
		})
		if err != nil {
			return err
		}
		kept := float64(cfg.Tasks)/sent.Seconds() >= paceShare*float64(cfg.Rate) &&
			result.Seconds <= float64(cfg.Tasks)/float64(cfg.Rate)+paceSlack.Seconds()
		result.KeptPace = &kept
		result.confirm(loop.confirm.spread())
		result.start(r.started.spread())
		return nil
	})
}

// openLoop submits tasks at their moments.
type openLoop struct {
	rig      *rig
	task     func(due time.Duration, n uint64) *fenfa.Task // called by one goroutine
	confirm  *latencies
	underWay atomic.Int64
	failure  atomic.Pointer[error]
}

// run submits the tasks and returns when all are confirmed.
func (o *openLoop) run(ctx context.Context, tasks, rate int) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	began := o.rig.now()
	due := func(n int) time.Duration { return began + time.Duration(float64(n)/float64(rate)*float64(time.Second)) }
	for n := range tasks {
		if ahead := due(n) - o.rig.now(); ahead > 0 {
			if err := pause(ctx, ahead); err != nil {
				return err
			}
		}
		if err := o.failure.Load(); err != nil {
			return *err
		}
		if o.underWay.Add(1) > maxUnderWay {
			return fmt.Errorf("%d submits wait for their confirm: the rate is far too high", maxUnderWay)
		}
		t := o.task(due(n), uint64(n))
		wg.Go(func() { o.submit(ctx, due(n), uint64(n), t) })
	}
	wg.Wait()
	if err := o.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// submit submits the task that was due at the given moment.
func (o *openLoop) submit(ctx context.Context, due time.Duration, n uint64, t *fenfa.Task) {
	defer o.underWay.Add(-1)
	if _, err := o.rig.client.Submit(ctx, t); err != nil {
		err = fmt.Errorf("submit task: %w", err)
		o.failure.CompareAndSwap(nil, &err)
		return
	}
	o.confirm.record(n, o.rig.now()-due, 1)
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
