package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/fenfa/fenfa"
)

// The entity of hot.
const (
	hotKey    = "sku-hot"
	hotRecord = "stock"
	// hotWindow is how many orders may be submitted and not yet worked on: the
	// producers form a closed loop, so that latencies are those of a system that
	// is busy and not drowned.
	hotWindow = 512
	// mysqlWindow and mysqlBatch are the window, and the tasks of one lease, on
	// databases: a commit takes several round trips there, so it pays to put more
	// orders into each.
	mysqlWindow = 2048
	mysqlBatch  = 1024
)

type hotStock struct {
	Available int64 `json:"available"`
}

// hot measures one SKU that everybody wants: every order deducts one piece from
// the same record, each with a version and an op-log entry. At the end stock and
// op log must be right.
func hot(ctx context.Context, cfg Config, result *Result) error {
	settings, most := fenfa.Queue{Order: fenfa.OrderKey}, int64(hotWindow)
	if cfg.MySQL {
		settings.Batch, most = mysqlBatch, mysqlWindow
	}
	r, err := newRig(ctx, cfg, settings)
	if err != nil {
		return err
	}
	err = withRig(ctx, r, func(ctx context.Context) error {
		if _, err := r.client.State().Put(ctx, hotKey, hotRecord, hotStock{Available: int64(cfg.Tasks)}, 0); err != nil {
			return fmt.Errorf("load stock: %w", err)
		}
		window := semaphore.NewWeighted(max(most, int64(cfg.Batch)))
		handler := &deduction{rig: r, window: window, seen: make([]atomic.Bool, cfg.Tasks)}
		if err := r.work(ctx, handler.handle); err != nil {
			return err
		}
		fmt.Fprintf(cfg.Log, "submitting %d orders for one SKU\n", cfg.Tasks)
		confirm := newLatencies()
		whole := func() (int64, error) {
			n, err := r.produce(ctx, producing{
				tasks: int64(cfg.Tasks), key: hotKey, confirm: confirm,
				admit: func(ctx context.Context, n int) error { return window.Acquire(ctx, int64(n)) },
			})
			if err != nil {
				return 0, err
			}
			return n, r.drained(ctx, n)
		}
		err := r.onStore(ctx, result, func() error { return r.measured(result, whole) })
		if err != nil {
			return err
		}
		result.confirm(confirm.spread())
		result.start(r.started.spread())
		verified, err := r.verifyHot(ctx, cfg.Tasks)
		result.Verified = &verified
		return err
	})
	if err != nil {
		return err
	}
	if err := withSQLBaseline(ctx, cfg, result); err != nil {
		return err
	}
	return withLimit(ctx, cfg, result)
}

// deduction is the handler of hot: one piece less.
type deduction struct {
	rig    *rig
	window *semaphore.Weighted
	seen   []atomic.Bool // by order: a handler may run more than once for it
}

func (d *deduction) handle(ctx context.Context, t *fenfa.Task) error {
	now := d.rig.now()
	at, n := stamped(t.Payload())
	var stock hotStock
	if err := t.State().Get(ctx, hotRecord, &stock); err != nil {
		return err
	}
	stock.Available--
	t.State().Put(hotRecord, stock)
	if n < uint64(len(d.seen)) && !d.seen[n].Swap(true) {
		d.rig.started.record(n, now-at, 1)
		d.rig.handled.Add(1)
		d.window.Release(1)
	}
	return nil
}

// VerifyError says that a benchmark left a wrong state behind.
type VerifyError struct{ reason string }

// Error says what is wrong.
func (e *VerifyError) Error() string { return e.reason }

// verifyHot compares the stock with zero, and the op log with one entry for each
// order besides the one that loaded the stock.
func (r *rig) verifyHot(ctx context.Context, tasks int) (bool, error) {
	fmt.Fprintln(r.cfg.Log, "verifying stock and op log")
	state := r.client.State()
	record, err := state.Get(ctx, hotKey, hotRecord)
	if err != nil {
		return false, fmt.Errorf("read stock: %w", err)
	}
	var stock hotStock
	if err := record.Decode(&stock); err != nil {
		return false, err
	}
	entries, expected, right := 0, int64(tasks), true
	for after := uint64(0); ; {
		changes, next, err := state.History(ctx, hotKey, hotRecord, after, 1000)
		if err != nil {
			return false, fmt.Errorf("read op log: %w", err)
		}
		for i := range changes {
			var then hotStock
			right = right && json.Unmarshal(changes[i].Value, &then) == nil && then.Available == expected
			expected--
		}
		entries += len(changes)
		if next == 0 {
			break
		}
		after = next
	}
	if stock.Available != 0 || entries != tasks+1 || !right {
		return false, &VerifyError{fmt.Sprintf("the stock is %d, want 0; the op log has %d entries, want %d; each is one piece less: %t",
			stock.Available, entries, tasks+1, right)}
	}
	return true, nil
}
