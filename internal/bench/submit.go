package bench

import (
	"context"
	"fmt"

	"github.com/fenfa/fenfa"
)

// submit measures confirms: many producers that each wait for the confirm of
// every single task. Nobody works on the tasks.
func submit(ctx context.Context, cfg Config, result *Result) error {
	r, err := newRig(ctx, cfg, fenfa.Queue{Order: fenfa.OrderNone})
	if err != nil {
		return err
	}
	return withRig(ctx, r, func(ctx context.Context) error {
		if cfg.Workers > 0 {
			if err := r.work(ctx, r.note); err != nil {
				return err
			}
		}
		fmt.Fprintf(cfg.Log, "%d producers submit one task after another\n", cfg.Producers)
		confirm := newLatencies()
		err := r.measured(result, func() (int64, error) {
			return r.produce(ctx, producing{tasks: int64(cfg.Tasks), duration: cfg.Duration, confirm: confirm})
		})
		result.confirm(confirm.spread())
		return err
	})
}
