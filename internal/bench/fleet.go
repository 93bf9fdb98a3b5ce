package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/child"
)

// fleet is a rig whose workers are processes of their own.
type fleet struct {
	*rig
	processes []*child.Process // by number, nil where it was ended
	reports   []string

	flooded atomic.Int64 // tasks that flood has submitted, in all its calls
}

// hire starts the worker processes and waits until all are connected. slow is how
// many times longer the first one takes for a task.
func (r *rig) hire(ctx context.Context, slow int) (*fleet, error) {
	f := &fleet{rig: r}
	r.spent = map[int]time.Duration{}
	for n := range r.cfg.Workers {
		service := r.cfg.Service
		if n == 0 {
			service *= time.Duration(slow)
		}
		if err := f.start(service); err != nil {
			return nil, errors.Join(err, f.dismiss())
		}
	}
	if err := f.assemble(ctx); err != nil {
		return nil, errors.Join(err, f.dismiss())
	}
	return f, nil
}

// start starts one more worker process.
func (f *fleet) start(service time.Duration) error {
	id := fmt.Sprintf("bench-%d", len(f.processes)+1)
	report := filepath.Join(f.cfg.Dir, id+".json")
	process, err := child.Start(child.Config{Path: f.cfg.Binary, Args: []string{
		WorkerCommand, "--addr", f.node.Addr(), "--id", id, "--concurrency", strconv.Itoa(f.cfg.Concurrency),
		"--service", service.String(), "--lines", strconv.Itoa(f.cfg.Lines),
		"--epoch", strconv.FormatInt(f.epoch.UnixNano(), 10), "--report", report,
	}})
	if err != nil {
		return err
	}
	f.processes, f.reports = append(f.processes, process), append(f.reports, report)
	f.counting.Lock()
	defer f.counting.Unlock()
	f.spent[process.PID()] = 0
	return nil
}

// assemble waits until the node knows all workers.
func (f *fleet) assemble(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("the worker processes did not connect within 30 s"))
	defer cancel()
	for {
		workers, err := f.client.Workers(ctx)
		if err != nil {
			return fmt.Errorf("list workers: %w", err)
		}
		if len(workers) == len(f.processes) {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return context.Cause(ctx)
		}
	}
}

// dismiss ends the worker processes.
func (f *fleet) dismiss() error {
	var errs []error
	for _, p := range f.processes {
		if p != nil {
			errs = append(errs, p.Stop(stopPatience))
		}
	}
	f.processes = nil
	return errors.Join(errs...)
}

// debrief ends the worker processes and returns what they saw.
func (f *fleet) debrief() ([]*stationReport, error) {
	if err := f.dismiss(); err != nil {
		return nil, err
	}
	reports := make([]*stationReport, len(f.reports))
	for i, path := range f.reports {
		var err error
		if reports[i], err = readReport(path); err != nil {
			return nil, err
		}
	}
	return reports, nil
}

// flood keeps about depth tasks outstanding for a while, made by task, and returns
// how many were done meanwhile. What an earlier call left outstanding counts. The
// node has had no other tasks before. Several goroutines submit, or the confirms of
// one would be the limit.
func (f *fleet) flood(ctx context.Context, depth int, over time.Duration, task func(n uint64) *fenfa.Task) (int64, error) {
	before, err := f.done(ctx)
	if err != nil {
		return 0, err
	}
	var done atomic.Int64
	done.Store(before)
	end := f.now() + over
	group, running := errgroup.WithContext(ctx)
	for range f.cfg.Producers {
		group.Go(func() error {
			batch := make([]*fenfa.Task, f.cfg.Batch)
			for f.now() < end {
				if f.flooded.Load()-done.Load() >= int64(depth) {
					if err := pause(running, time.Millisecond); err != nil {
						return err
					}
					continue
				}
				first := f.flooded.Add(int64(len(batch))) - int64(len(batch))
				for i := range batch {
					batch[i] = task(uint64(first) + uint64(i))
				}
				if _, err := f.client.SubmitBatch(running, batch); err != nil {
					return fmt.Errorf("submit tasks: %w", err)
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		for f.now() < end {
			now, err := f.done(running)
			if err != nil {
				return err
			}
			done.Store(now)
			if err := pause(running, 5*time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return 0, err
	}
	now, err := f.done(ctx)
	return now - before, err
}

// done is how many tasks the node has finished since its start.
func (f *fleet) done(ctx context.Context) (int64, error) {
	stats, err := f.stats(ctx)
	return stats.DoneTotal, err
}

// idle waits until the queue is empty.
func (f *fleet) idle(ctx context.Context) error { return f.drained(ctx, 0) }

// merged puts what all workers saw of a phase together.
func merged(reports []*stationReport, phase int) (tasks int64, start, finish Spread) {
	starts, finishes := newHistogram(), newHistogram()
	for _, r := range reports {
		p := r.Phases[phase]
		if p.Tasks == 0 {
			continue
		}
		tasks += p.Tasks
		starts.Merge(hdrhistogram.Import(p.Start))
		finishes.Merge(hdrhistogram.Import(p.Finish))
	}
	return tasks, spreadOf(starts), spreadOf(finishes)
}

// withFleet runs a benchmark on a fleet, and ends it afterwards.
func withFleet(ctx context.Context, cfg Config, q fenfa.Queue, slow int, run func(context.Context, *fleet) error) error {
	r, err := newRig(ctx, cfg, q)
	if err != nil {
		return err
	}
	return withRig(ctx, r, func(ctx context.Context) error {
		f, err := r.hire(ctx, slow)
		if err != nil {
			return err
		}
		return errors.Join(run(ctx, f), f.dismiss())
	})
}
