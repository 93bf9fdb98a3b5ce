package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/fenfa/fenfa"
)

// Bounds of the benchmark schedule.
const (
	dueFor        = 10 * time.Second     // tasks come due at the rate for so long
	dueLead       = 5 * time.Second      // before the first of them is due
	soonest       = 2 * time.Hour        // all other tasks are due later,
	latest        = 360 * 24 * time.Hour // and before
	scheduledPoll = 20 * time.Millisecond
)

// schedule measures tasks that wait for their time: how fast they are submitted
// beside plain ones, what they cost in memory, how long a restart (kill -9) takes
// while they wait, and how late the ones that are due start. Plain tasks have a node
// of their own, so that what they leave behind is in nobody's way.
func schedule(ctx context.Context, cfg Config, result *Result) error {
	if err := schedulePlain(ctx, cfg, result); err != nil {
		return err
	}
	r, err := newRig(ctx, cfg, fenfa.Queue{Order: fenfa.OrderNone})
	if err != nil {
		return err
	}
	return withRigThatRestarts(ctx, r, func(ctx context.Context) error {
		if err := r.submitScheduled(ctx, result); err != nil {
			return err
		}
		_, before, err := r.usage()
		if err != nil {
			return err
		}
		if err := r.restart(ctx, result); err != nil {
			return err
		}
		if err := r.comeDue(ctx, result); err != nil {
			return err
		}
		_, after, err := r.usage()
		result.PeakRSSMiB = mib(max(before.PeakRSS, after.PeakRSS))
		return err
	})
}

// schedulePlain measures the submit of as many tasks that may run at once; nobody
// works on them.
func schedulePlain(ctx context.Context, cfg Config, result *Result) (err error) {
	cfg.Dir = filepath.Join(cfg.Dir, "plain")
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(cfg.Dir)) }()
	r, err := newRig(ctx, cfg, fenfa.Queue{Order: fenfa.OrderNone})
	if err != nil {
		return err
	}
	return withRig(ctx, r, func(ctx context.Context) error {
		fmt.Fprintf(cfg.Log, "submitting %d plain tasks\n", cfg.Tasks)
		plain := &Result{}
		err := r.measured(plain, func() (int64, error) { return r.produce(ctx, producing{tasks: int64(cfg.Tasks)}) })
		result.PlainPerS, result.PlainCPU = &plain.PerS, &plain.CPUPer100k
		return err
	})
}

// submitScheduled submits the tasks that are due much later, and waits until all of
// them are on the schedule.
func (r *rig) submitScheduled(ctx context.Context, result *Result) error {
	fmt.Fprintf(r.cfg.Log, "submitting %d tasks for later\n", r.cfg.Tasks)
	began, confirm := r.now(), newLatencies()
	step := (latest - soonest) / time.Duration(r.cfg.Tasks)
	due := func(n uint64) time.Duration {
		// In no order: multiplied by a prime that does not divide the number of tasks.
		return soonest + step*time.Duration(n*1_000_000_007%uint64(r.cfg.Tasks))
	}
	err := r.measured(result, func() (int64, error) {
		return r.produce(ctx, producing{tasks: int64(r.cfg.Tasks), confirm: confirm, due: due})
	})
	if err != nil {
		return err
	}
	result.confirm(confirm.spread())
	ratio := result.PerS / *result.PlainPerS
	result.SubmitRatio = &ratio
	if err := r.scheduled(ctx, int64(r.cfg.Tasks)); err != nil {
		return err
	}
	stored := float64(r.cfg.Tasks) / (r.now() - began).Seconds()
	_, node, err := r.usage()
	if err != nil {
		return err
	}
	rss := mib(node.RSS)
	result.StoredPerS, result.FullRSSMiB = &stored, &rss
	return nil
}

// scheduled waits until as many tasks are on the schedule, and none is on its way.
func (r *rig) scheduled(ctx context.Context, tasks int64) error {
	for {
		s, err := r.stats(ctx)
		if err != nil {
			return err
		}
		if s.Scheduled >= tasks && s.BacklogTasks == 0 {
			return nil
		}
		if err := pause(ctx, scheduledPoll); err != nil {
			return err
		}
	}
}

// comeDue lets tasks come due at the rate, and measures how late they start.
func (r *rig) comeDue(ctx context.Context, result *Result) error {
	tasks := int64(float64(r.cfg.Rate) * dueFor.Seconds())
	if err := r.scheduled(ctx, int64(r.cfg.Tasks)); err != nil {
		return err
	}
	late, done := newLatencies(), &atomic.Int64{}
	err := r.work(ctx, func(_ context.Context, t *fenfa.Task) error {
		due, n := stamped(t.Payload())
		late.record(n, r.now()-due, 1)
		done.Add(1)
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(r.cfg.Log, "%d tasks come due, %d a second\n", tasks, r.cfg.Rate)
	first := r.now() + dueLead
	due := func(n uint64) time.Duration {
		return first + time.Duration(float64(n)/float64(r.cfg.Rate)*float64(time.Second))
	}
	if _, err := r.produce(ctx, producing{tasks: tasks, due: due}); err != nil {
		return err
	}
	if err := r.scheduled(ctx, int64(r.cfg.Tasks)+tasks); err != nil {
		return err
	}
	if r.now() > first {
		return fmt.Errorf("the tasks were not on the schedule before the first was due: give a lower --rate than %d", r.cfg.Rate)
	}
	for done.Load() < tasks {
		if err := pause(ctx, scheduledPoll); err != nil {
			return err
		}
	}
	all := late.all()
	spread, most := spreadOf(all), float64(all.Max())/1000
	result.LateP50, result.LateP99, result.LateMax = &spread.P50, &spread.P99, &most
	return nil
}
