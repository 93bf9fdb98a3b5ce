package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/fenfa/fenfa"
)

// What happens to the workers in churn, as shares of its duration.
const (
	churnJoin   = 0.15 // one more worker starts
	churnKill   = 0.5  // the second worker is killed
	churnFreeze = 0.65 // the third worker is frozen
	churnThaw   = 0.82 // and goes on
)

const (
	leastChurn     = 3                      // workers
	leastChurnTime = 25 * time.Second       // for a freeze of more than 4 s
	churnSlot      = 250 * time.Millisecond // between two points of a curve
)

// churn measures what each worker does while workers come, die and freeze, at a
// pace that those that are left can keep.
func churn(ctx context.Context, cfg Config, result *Result) error {
	q := fenfa.Queue{Order: fenfa.OrderNone, Balance: fenfa.Balance{Policy: cfg.Policy}}
	return withFleet(ctx, cfg, q, 1, func(ctx context.Context, f *fleet) error {
		// A fleet that has just started would not show that a newcomer starts slowly.
		fmt.Fprintf(cfg.Log, "%d workers settle for %v\n", cfg.Workers, churnSettle)
		if err := f.pace(ctx, 0, cfg.Rate, churnSettle, nil); err != nil {
			return err
		}
		began := f.now()
		curves := &curves{began: began}
		watching, stop := context.WithCancel(ctx)
		watched := make(chan error, 1)
		go func() { watched <- curves.watch(watching, f) }()
		happened := make(chan error, 1)
		go func() { happened <- f.churn(watching, cfg, began) }()
		err := f.measured(result, func() (int64, error) {
			if err := f.pace(ctx, 1, cfg.Rate, cfg.Duration, nil); err != nil {
				return 0, err
			}
			return int64(float64(cfg.Rate) * cfg.Duration.Seconds()), f.idle(ctx)
		})
		stop()
		err = errors.Join(err, <-happened, <-watched)
		kept := result.Seconds <= cfg.Duration.Seconds()+paceSlack.Seconds()
		result.KeptPace, result.Curves = &kept, curves.list
		return err
	})
}

// churnSettle is longer than a worker starts slowly.
const churnSettle = 12 * time.Second

// churn lets happen what happens to the workers.
func (f *fleet) churn(ctx context.Context, cfg Config, began time.Duration) error {
	for _, event := range []struct {
		at   float64
		what string
		do   func() error
	}{
		{churnJoin, "one more worker starts", func() error { return f.start(cfg.Service) }},
		{churnKill, "bench-2 is killed", func() error { p := f.processes[1]; f.processes[1] = nil; return p.Kill() }},
		{churnFreeze, "bench-3 is frozen", func() error { return f.processes[2].Freeze() }},
		{churnThaw, "bench-3 goes on", func() error { return f.processes[2].Thaw() }},
	} {
		at := began + time.Duration(event.at*float64(cfg.Duration))
		if !waited(ctx, at-f.now()) {
			return nil // The load ended early, and says why.
		}
		fmt.Fprintf(cfg.Log, "%5.1f s: %s\n", (f.now() - began).Seconds(), event.what)
		if err := event.do(); err != nil {
			return fmt.Errorf("%s: %w", event.what, err)
		}
	}
	return nil
}

// waited waits for d, and reports false when ctx ended before.
func waited(ctx context.Context, d time.Duration) bool { return pause(ctx, d) == nil }

// curves are the rates of workers over time.
type curves struct {
	began time.Duration
	list  []Curve
	last  map[string]counted
}

// counted is how many outcomes a worker's session had at a moment.
type counted struct {
	at      time.Duration
	done    int64
	session time.Time
}

// watch looks at the workers until ctx ends.
func (c *curves) watch(ctx context.Context, f *fleet) error {
	c.last = map[string]counted{}
	for {
		workers, err := f.client.Workers(ctx)
		switch {
		case err == nil:
			c.add(f.now(), workers)
		case ctx.Err() == nil:
			return fmt.Errorf("list workers: %w", err)
		}
		if !waited(ctx, churnSlot) {
			return nil
		}
	}
}

// add takes what the workers had done by now. A worker that is not connected does
// nothing.
func (c *curves) add(now time.Duration, workers []fenfa.WorkerInfo) {
	seen := map[string]bool{}
	for i := range workers {
		w := &workers[i]
		seen[w.ID] = true
		was, known := c.last[w.ID]
		if !known {
			c.list = append(c.list, Curve{Worker: w.ID})
			was = counted{at: now}
		}
		if !was.session.Equal(w.ConnectedAt) {
			was.done = 0 // counts are those of a session
		}
		if known {
			c.point(w.ID, now, float64(w.DoneTotal-was.done)/(now-was.at).Seconds())
		}
		c.last[w.ID] = counted{at: now, done: w.DoneTotal, session: w.ConnectedAt}
	}
	for id, was := range c.last {
		if !seen[id] {
			c.point(id, now, 0)
			c.last[id] = counted{at: now, session: was.session, done: was.done}
		}
	}
}

func (c *curves) point(id string, now time.Duration, perS float64) {
	for i := range c.list {
		if c.list[i].Worker == id {
			seconds := math.Round((now-c.began).Seconds()*100) / 100
			c.list[i].Points = append(c.list[i].Points, Point{Seconds: seconds, PerS: math.Round(perS)})
		}
	}
}
