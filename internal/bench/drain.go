package bench

import (
	"context"
	"fmt"

	"github.com/fenfa/fenfa"
)

// drain measures the whole way of a task: producers submit in batches while
// workers with handlers that do nothing take, and it ends when all is done. On
// databases each handler writes one record of an entity.
func drain(ctx context.Context, cfg Config, result *Result) error {
	order, keys := fenfa.OrderNone, 0
	if cfg.MySQL {
		order, keys = fenfa.OrderKey, writeKeys
	}
	r, err := newRig(ctx, cfg, fenfa.Queue{Order: order})
	if err != nil {
		return err
	}
	err = withRig(ctx, r, func(ctx context.Context) error {
		handler := r.note
		if cfg.MySQL {
			handler = r.write
		}
		if err := r.work(ctx, handler); err != nil {
			return err
		}
		fmt.Fprintf(cfg.Log, "submitting %d tasks while %d workers take them\n", cfg.Tasks, cfg.Workers)
		confirm := newLatencies()
		whole := func() (int64, error) {
			n, err := r.produce(ctx, producing{tasks: int64(cfg.Tasks), keys: keys, confirm: confirm})
			if err != nil {
				return 0, err
			}
			return n, r.drained(ctx, n)
		}
		err := r.onStore(ctx, result, func() error {
			return r.split(result, func() error { return r.measured(result, whole) })
		})
		result.confirm(confirm.spread())
		result.start(r.started.spread())
		return err
	})
	if err != nil {
		return err
	}
	if err := withBaseline(ctx, cfg, result); err != nil {
		return err
	}
	return withLimit(ctx, cfg, result)
}
