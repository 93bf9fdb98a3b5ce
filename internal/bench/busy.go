package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/fenfa/fenfa"
)

// settle is how long a load runs before it is measured.
const settle = 2 * time.Second

// busy measures how busy the slots of worker processes are while there is always
// work: their handlers wait for a fixed time.
func busy(ctx context.Context, cfg Config, result *Result) error {
	return withFleet(ctx, cfg, fenfa.Queue{Order: fenfa.OrderNone, Balance: fenfa.Balance{Policy: cfg.Policy}}, 1, func(ctx context.Context, f *fleet) error {
		fmt.Fprintf(cfg.Log, "%d workers with %d slots each, handlers of %v\n", cfg.Workers, cfg.Concurrency, cfg.Service)
		slots := cfg.Workers * cfg.Concurrency
		depth := max(20_000, 100*slots)
		task := func(n uint64) *fenfa.Task { return f.task(f.now(), numbered(1, n), "") }
		if _, err := f.flood(ctx, depth, settle, task); err != nil {
			return err
		}
		from := f.now()
		err := f.measured(result, func() (int64, error) { return f.flood(ctx, depth, cfg.Duration, task) })
		if err != nil {
			return err
		}
		to := f.now()
		reports, err := f.debrief()
		if err != nil {
			return err
		}
		return busyShares(cfg, reports, from, to, result)
	})
}

// busyShares fills in the share of all slots' time that was spent in handlers, and
// that of the worker where it was least.
func busyShares(cfg Config, reports []*stationReport, from, to time.Duration, result *Result) error {
	var total, capacity time.Duration
	var done int64
	least := 1.0
	for _, r := range reports {
		did := r.between(from, to)
		if did.At == 0 {
			return fmt.Errorf("worker %s has no samples of the measured time", r.ID)
		}
		of := did.At * time.Duration(cfg.Concurrency)
		total, capacity, done = total+did.Busy, capacity+of, done+did.Done
		least = min(least, did.Busy.Seconds()/of.Seconds())
	}
	share := total.Seconds() / capacity.Seconds()
	nominal := float64(done) * cfg.Service.Seconds() / capacity.Seconds()
	mean := total.Seconds() * 1000 / float64(max(done, 1))
	result.BusyShare, result.Nominal, result.LeastBusy, result.HandlerMs = &share, &nominal, &least, &mean
	return nil
}
