package partition

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// DefaultWaits is how many tasks may be waited for at a time.
const DefaultWaits = 100_000

// awaiting is one call of AwaitTasks.
type awaiting struct {
	e    *Engine
	wait *endWait
	left map[task.ID]struct{} // that were not told yet
	open []task.ID            // of these, those that nobody would tell of at the moment
	told map[*owner][]task.ID // that were registered

	mu   sync.Mutex
	news []ended
	wake chan struct{}
}

// AwaitTasks calls tell, from this goroutine, for each of the tasks as soon as it has
// ended, durably; for those that are not known at once, with an error of
// CodeNotFound. It returns when all were told, when tell fails, or with ctx. While
// nothing happens nothing is read. Beyond Config.Waits it fails with
// CodeResourceExhausted.
func (e *Engine) AwaitTasks(ctx context.Context, ids []task.ID, tell func(TaskStatus, error) error) error {
	n := int64(len(ids))
	defer e.waits.Add(-n)
	if e.waits.Add(n) > int64(e.cfg.Waits) {
		return task.Errorf(task.CodeResourceExhausted, "this node lets %d tasks be waited for at a time, and these would be more", e.cfg.Waits).
			WithRetryAfter(time.Second)
	}
	a := &awaiting{
		e: e, left: make(map[task.ID]struct{}, n), open: slices.Clone(ids), told: make(map[*owner][]task.ID), wake: make(chan struct{}, 1),
	}
	a.wait = &endWait{tell: a.add}
	for _, id := range ids {
		a.left[id] = struct{}{}
	}
	defer a.forget()
	return a.run(ctx, tell)
}

// run tells news. Partitions that are not served are asked again after a while.
func (a *awaiting) run(ctx context.Context, tell func(TaskStatus, error) error) error {
	delay := reclaimBase
	for len(a.left) > 0 {
		if err := a.register(ctx); err != nil {
			return err
		}
		if news := a.take(); len(news) > 0 {
			if err := a.tell(news, tell); err != nil {
				return err
			}
			continue
		}
		if err := a.sleep(ctx, delay); err != nil {
			return err
		}
		delay = min(2*delay, reclaimMax)
	}
	return nil
}

// sleep returns when there are news, or, where tasks are to be registered again, after
// the delay.
func (a *awaiting) sleep(ctx context.Context, delay time.Duration) error {
	retry := make(chan struct{})
	if len(a.open) > 0 {
		timer := a.e.cfg.Clock.AfterFunc(delay, func() { close(retry) })
		defer timer.Stop()
	}
	select {
	case <-a.wake:
		return nil
	case <-retry:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tell tells of tasks that were not told yet. Those whose partition was lost are to be
// registered again.
func (a *awaiting) tell(news []ended, tell func(TaskStatus, error) error) error {
	for _, x := range news {
		id := x.st.ID
		if _, waits := a.left[id]; !waits {
			continue
		}
		if x.lost {
			a.open = append(a.open, id)
			continue
		}
		delete(a.left, id)
		if err := tell(x.st, x.err); err != nil {
			return err
		}
	}
	return nil
}

// add takes news, from any goroutine.
func (a *awaiting) add(x ended) {
	a.mu.Lock()
	a.news = append(a.news, x)
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *awaiting) take() []ended {
	a.mu.Lock()
	defer a.mu.Unlock()
	news := a.news
	a.news = nil
	return news
}

// forget lets nobody tell of tasks any more.
func (a *awaiting) forget() {
	for o, ids := range a.told {
		o.post(func(c *core, _ time.Time) { c.forgetEnds(a.wait, ids) })
	}
}

// register asks those who may know of the open tasks to tell when they end.
func (a *awaiting) register(ctx context.Context) error {
	if len(a.open) == 0 {
		return nil
	}
	asks := make(map[*owner][]task.ID)
	known := make(map[task.ID]bool)
	slices.SortFunc(a.open, task.ID.Compare) // Several partitions may have lost one.
	a.open = slices.Compact(a.open)
	for _, id := range a.open {
		located, found, err := a.e.locate(ctx, id)
		if err != nil {
			return err
		}
		known[id] = found && !located.Settled
		owners := a.e.owners
		if found {
			owners = owners[located.Partition : located.Partition+1]
		}
		for _, o := range owners {
			asks[o] = append(asks[o], id)
		}
	}
	later := make(map[task.ID]bool)
	for _, o := range a.e.owners {
		ids := asks[o]
		if len(ids) == 0 {
			continue
		}
		err := a.registerIn(ctx, o, ids, known)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case task.CodeOf(err) == task.CodeUnavailable:
			for _, id := range ids {
				later[id] = true
			}
		case err != nil:
			return err
		}
	}
	open := a.open
	a.open = nil
	for _, id := range open {
		switch {
		case later[id]:
			a.open = append(a.open, id)
		case !known[id]:
			a.add(ended{st: TaskStatus{ID: id}, err: errUnknownTask(id)})
		}
	}
	return nil
}

// registerIn asks one owner, and looks for marks of tasks that it does not have in
// memory: these have ended, or wait in the store.
func (a *awaiting) registerIn(ctx context.Context, o *owner, ids []task.ID, known map[task.ID]bool) error {
	missing, err := ask(ctx, o, func(c *core, _ time.Time, answer func([]task.ID)) { c.awaitEnds(a.wait, ids, answer) })
	if err != nil {
		return err
	}
	a.told[o] = append(a.told[o], ids...)
	absent := make(map[task.ID]bool, len(missing))
	rows := make([]store.Row, len(missing))
	for i, id := range missing {
		absent[id], rows[i] = true, &store.Dedup{ID: id}
	}
	for _, id := range ids {
		known[id] = known[id] || !absent[id]
	}
	if rows, err = a.e.cfg.Store.Get(ctx, o.part, rows); err != nil {
		return fmt.Errorf("read marks of tasks: %w", err)
	}
	for i, id := range missing {
		mark, ok := rows[i].(*store.Dedup)
		if !ok || mark == nil || mark.Queue == "" { // A mark without a queue is that of a commit.
			continue
		}
		known[id] = true
		if mark.State.Final() {
			a.add(ended{st: statusOf(mark)})
		}
	}
	return nil
}
