package partition

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Outlook is what a node does, and what it waits for. Tests that put its clock
// forward ask for it.
type Outlook struct {
	// Busy says what goes on that ends without anybody's doing; empty: nothing.
	Busy string
	// Running are the tasks that workers are at.
	Running []RunningTask
	// Next is when something is due by itself; zero: nothing is.
	Next time.Time
}

// RunningTask is a task in the hands of a worker.
type RunningTask struct {
	ID      task.ID
	Queue   string
	Worker  string
	Attempt int
}

// Outlook looks at all partitions. Where it finds nothing that goes on, nothing went
// on between its two looks at any of them, and there was no message on its way from one
// to another: whatever begins after that begins from outside, or with time.
func (e *Engine) Outlook(ctx context.Context) (Outlook, error) {
	all := Outlook{Next: e.limits.Next()}
	looks := make([]partLook, len(e.owners))
	held, full := make(map[string]int64), make(map[string]bool)
	for i, o := range e.owners {
		l, err := o.lookAhead(ctx)
		if err != nil {
			return all, err
		}
		looks[i] = l
		if all.Busy == "" && l.busy != "" {
			all.Busy = fmt.Sprintf("partition %d %s", i, l.busy)
		}
		all.Running = append(all.Running, l.running...)
		all.Next = sooner(all.Next, l.next)
		for _, log := range l.logs {
			held[log.name] += log.held
			full[log.name] = full[log.name] || log.full
		}
	}
	if all.Busy == "" && !all.Next.IsZero() && !all.Next.After(e.cfg.Clock.Now()) {
		all.Busy = "something is due"
	}
	for _, q := range e.Queues() {
		if all.Busy != "" {
			return all, nil
		}
		for _, log := range logs(&q) {
			backlog, err := e.cfg.Broker.Backlog(ctx, log)
			if err != nil {
				return all, fmt.Errorf("read backlog of queue %s: %w", q.Name, err)
			}
			if backlog.Tasks > held[log] && !full[log] {
				all.Busy = fmt.Sprintf("queue %s has tasks that are on their way", q.Name)
			}
		}
	}
	for i, l := range looks {
		if all.Busy != "" {
			break
		}
		again, err := l.own.lookAhead(ctx)
		if err != nil {
			return all, err
		}
		if again.events != l.events+1 {
			all.Busy = fmt.Sprintf("partition %d is at work", i)
		}
	}
	return all, nil
}

// partLook is one look at a partition.
type partLook struct {
	coreOutlook
	own    *ownership
	events uint64 // that the core has taken, with this one
}

// lookAhead looks at the partition as it is served now.
func (o *owner) lookAhead(ctx context.Context) (partLook, error) {
	own := o.current()
	if own == nil {
		return partLook{coreOutlook: coreOutlook{busy: "is not served"}}, nil
	}
	return own.lookAhead(ctx)
}

func (own *ownership) lookAhead(ctx context.Context) (partLook, error) {
	return askIn(ctx, own, func(c *core, now time.Time, answer func(partLook)) {
		l := partLook{own: own, events: own.events, coreOutlook: c.outlook(now)}
		if l.busy == "" && (own.jobs.busy() || own.rows.busy() || own.outbox.busy()) {
			l.busy = "reads from the store or publishes"
		}
		answer(l)
	})
}

// coreOutlook is that of one partition.
type coreOutlook struct {
	busy    string
	running []RunningTask
	next    time.Time
	logs    []logOutlook
}

// logOutlook is what a partition has of a log.
type logOutlook struct {
	name string
	held int64 // tasks in memory
	full bool  // its reader waits for room
}

// outlook also hurries what waits for a commit, because the caller waits for it.
func (c *core) outlook(now time.Time) coreOutlook {
	o := coreOutlook{next: c.nextDue()}
	switch {
	case c.waitsForCommit():
		c.press()
		o.busy = "waits for a commit"
	case len(c.woken)+len(c.loading) > 0 || c.sched.reads() || c.parkedExpiries.reads() || c.parkedExpiries.ending || !c.crons.loaded:
		o.busy = "reads what it has in the store"
	case c.transacting():
		o.busy = "is in a transaction"
	case !o.next.IsZero() && !o.next.After(now):
		o.busy = "has something that is due"
	}
	for _, q := range c.order {
		if o.busy == "" && c.moves(q) {
			o.busy = "hands out tasks of queue " + q.Name
		}
		w := c.cfg.Window
		for _, b := range q.bands {
			o.logs = append(o.logs, logOutlook{
				name: b.log, held: int64(b.held.Tasks), full: b.held.Tasks > w.Tasks-max(1, w.Tasks/4) || b.held.Bytes > w.Bytes-max(1, w.Bytes/4),
			})
		}
	}
	for _, ls := range c.leases {
		o.running = append(o.running, ls.tasks()...)
	}
	slices.SortFunc(o.running, func(a, b RunningTask) int { return a.ID.Compare(b.ID) })
	return o
}

// reads reports whether a page of rows is on its way, or is about to be.
func (s *scheduler) reads() bool { return s.fetching || s.wants() }

// moves reports whether tasks of a queue are about to be read or handed out.
func (c *core) moves(q *queue) bool {
	return slices.ContainsFunc(q.bands, func(b *band) bool { return b.fetches > 0 || b.hungry.len() > 0 && !c.full(b) }) ||
		q.waiting() && !q.throttled && !q.Paused && !c.draining
}

// tasks are those of a lease that its worker may be at. Where there is order, that is
// one: the others follow.
func (ls *lease) tasks() (found []RunningTask) {
	for i, it := range ls.items {
		if it != nil && (!ls.lane.ordered || i == ls.next) {
			found = append(found, RunningTask{ID: it.ID, Queue: ls.lane.q.Name, Worker: ls.worker.ID, Attempt: it.attempts + 1})
		}
	}
	return found
}

// sooner returns the earlier of two moments, of which zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
