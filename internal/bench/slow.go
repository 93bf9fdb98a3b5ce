package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/fenfa/fenfa"
)

// slowFactor is how many times longer the slow worker takes for a task, and
// slowLoad the rate of the paced part over what the fast ones can do.
const (
	slowFactor = 10
	slowLoad   = 0.9
)

// slow measures what one slow worker costs under a policy: first as a closed loop,
// for the throughput, then at a pace that the fast workers alone can keep, for the
// latency.
func slow(ctx context.Context, cfg Config, result *Result) error {
	return withFleet(ctx, cfg, fenfa.Queue{Order: fenfa.OrderNone, Balance: fenfa.Balance{Policy: cfg.Policy}}, slowFactor, func(ctx context.Context, f *fleet) error {
		fast := float64((cfg.Workers-1)*cfg.Lines) / cfg.Service.Seconds()
		fmt.Fprintf(cfg.Log, "%s: %d workers, one %d times slower; the others can do %.0f tasks/s\n", cfg.Policy, cfg.Workers, slowFactor, fast)
		phase := 0
		task := func(n uint64) *fenfa.Task { return f.task(f.now(), numbered(phase, n), "") }
		// As many tasks are outstanding as one worker has slots: the slow one could hold
		// them all, and the fast ones have enough to do if it does not.
		if _, err := f.flood(ctx, cfg.Concurrency, settle, task); err != nil {
			return err
		}
		phase = 1
		from := f.now()
		done, err := f.flood(ctx, cfg.Concurrency, cfg.Duration, task)
		if err != nil {
			return err
		}
		to := f.now()
		closed := float64(done) / (to - from).Seconds()
		if err := f.idle(ctx); err != nil {
			return err
		}
		rate := int(slowLoad * fast)
		if err := f.pace(ctx, 2, rate, settle, nil); err != nil {
			return err
		}
		err = f.measured(result, func() (int64, error) {
			if err := f.pace(ctx, 3, rate, cfg.Duration, nil); err != nil {
				return 0, err
			}
			return int64(float64(rate) * cfg.Duration.Seconds()), f.idle(ctx)
		})
		if err != nil {
			return err
		}
		reports, err := f.debrief()
		if err != nil {
			return err
		}
		result.Settings.Rate = rate
		tasks, start, finish := merged(reports, 3)
		result.start(start)
		result.finish(finish)
		share, ratio := float64(reports[0].Phases[3].Tasks)/float64(max(tasks, 1)), closed/fastCapacity(cfg, reports[1:], from, to)
		result.ClosedPerS, result.FastRatio, result.SlowShare = &closed, &ratio, &share
		return nil
	})
}

// fastCapacity is how many tasks a second some workers can do, by what a task took
// there: a timer ends a little later than it should.
func fastCapacity(cfg Config, fast []*stationReport, from, to time.Duration) (perS float64) {
	for _, r := range fast {
		if did := r.between(from, to); did.Served > 0 {
			perS += float64(cfg.Lines) * float64(did.Done) / did.Served.Seconds()
		}
	}
	return perS
}

// pace submits tasks of a phase as an open loop, with keys where wanted.
func (f *fleet) pace(ctx context.Context, phase, rate int, over time.Duration, key func(n uint64) string) error {
	loop := &openLoop{rig: f.rig, confirm: newLatencies(), task: func(due time.Duration, n uint64) *fenfa.Task {
		k := ""
		if key != nil {
			k = key(n)
		}
		return f.task(due, numbered(phase, n), k)
	}}
	return loop.run(ctx, int(float64(rate)*over.Seconds()), rate)
}
