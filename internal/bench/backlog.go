package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/fenfa/fenfa"
)

// smallBacklog is what the drain of a large backlog is compared with.
const smallBacklog = 200_000

// backlog measures a node with very many tasks waiting: how fast it takes them
// with nobody to work on them, how much memory they cost, how long a restart
// (kill -9) takes, and how fast workers drain them afterwards.
func backlog(ctx context.Context, cfg Config, result *Result) error {
	r, err := newRig(ctx, cfg, fenfa.Queue{Order: fenfa.OrderNone})
	if err != nil {
		return err
	}
	defer func() {
		if r != nil {
			_ = r.close()
		}
	}()
	if cfg.Compare {
		fmt.Fprintf(cfg.Log, "draining %d tasks of a system that is else empty\n", smallBacklog)
		small := &Result{}
		if err := r.fillAndDrain(ctx, small, smallBacklog); err != nil {
			return err
		}
		result.EmptyPerS = &small.PerS
		if err := r.dismiss(); err != nil {
			return err
		}
	}
	if err := r.fill(ctx, result); err != nil {
		return err
	}
	if err := r.restart(ctx, result); err != nil {
		return err
	}
	fmt.Fprintln(cfg.Log, "draining")
	r.handled.Store(0)
	err = r.measured(result, func() (int64, error) {
		if err := r.work(ctx, r.note); err != nil {
			return 0, err
		}
		return int64(cfg.Tasks), r.drained(ctx, int64(cfg.Tasks))
	})
	if err != nil {
		return err
	}
	if result.EmptyPerS != nil {
		ratio := result.PerS / *result.EmptyPerS
		result.DrainRatio = &ratio
	}
	last := r
	r = nil
	return last.close()
}

// fillAndDrain fills a backlog with no workers and measures how fast it drains.
func (r *rig) fillAndDrain(ctx context.Context, result *Result, tasks int64) error {
	if _, err := r.produce(ctx, producing{tasks: tasks}); err != nil {
		return err
	}
	return r.measured(result, func() (int64, error) {
		if err := r.work(ctx, r.note); err != nil {
			return 0, err
		}
		return tasks, r.drained(ctx, tasks)
	})
}

// dismiss ends the workers.
func (r *rig) dismiss() error {
	r.stop()
	err := r.workers.Wait()
	r.workers = nil
	return err
}

// fill submits everything with nobody to work on it.
func (r *rig) fill(ctx context.Context, result *Result) error {
	fmt.Fprintf(r.cfg.Log, "filling with %d tasks\n", r.cfg.Tasks)
	began, confirm := time.Now(), newLatencies()
	n, err := r.produce(ctx, producing{tasks: int64(r.cfg.Tasks), confirm: confirm})
	if err != nil {
		return err
	}
	perS := float64(n) / time.Since(began).Seconds()
	_, node, err := r.usage()
	if err != nil {
		return err
	}
	rss := mib(node.RSS)
	result.FillPerS, result.FullRSSMiB = &perS, &rss
	result.confirm(confirm.spread())
	return nil
}

// restart kills the node and starts it again on its full backlog.
func (r *rig) restart(ctx context.Context, result *Result) error {
	fmt.Fprintln(r.cfg.Log, "killing the node and starting it again")
	if err := r.node.Kill(); err != nil {
		return err
	}
	began := time.Now()
	if err := r.node.Start(); err != nil {
		return err
	}
	if err := r.node.Ready(ctx); err != nil {
		return err
	}
	seconds := time.Since(began).Seconds()
	result.RestartSeconds = &seconds
	return nil
}
