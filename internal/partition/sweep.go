package partition

import (
	"context"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Pace of the removal of expired marks.
const (
	sweepInterval = time.Second
	sweepPage     = 512
	sweepSkips    = 8 // pages of marks that last, passed over at a time
)

// sweeper walks over the marks in small steps. Version 7 ids sort by time, so
// their expired marks lie together at the front: that is looked at every time,
// while a second cursor goes slowly around over all others. Marks that last, of
// tasks that wait and of dead letters, gather at the front; it is behind them.
type sweeper struct {
	own   *ownership
	front task.ID
	slow  task.ID
}

// swept is what one page of marks held.
type swept struct {
	next    task.ID // where the next page begins; zero after the last
	expired int
	lasting int // that do not expire by themselves
}

// past reports whether nothing on the page will ever have to be looked at for its
// time.
func (p swept) past() bool { return p.expired+p.lasting == sweepPage }

// firstTimed is before every version 7 id of this decade and after most others.
func firstTimed() task.ID { return task.ID{0x01, 0x80} }

// sweep removes expired marks until ctx ends.
func (own *ownership) sweep(ctx context.Context) {
	s := sweeper{own: own, front: firstTimed()}
	for own.e.wait(ctx, sweepInterval) {
		if err := s.pass(ctx); err != nil {
			own.fail(err)
			return
		}
	}
}

// Sweep removes everything at once whose time is over: results, and dead letters of
// queues with a dead_ttl. The partitions do so by themselves too, bit by bit.
func (e *Engine) Sweep(ctx context.Context) error {
	for _, o := range e.owners {
		own := o.serving(ctx)
		if own == nil {
			return o.notServed()
		}
		s := sweeper{own: own}
		for at, more := (task.ID{}), true; more; {
			p, err := s.page(ctx, at)
			if err != nil {
				return err
			}
			at, more = p.next, !p.next.IsZero()
		}
		if err := own.retireAll(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pass removes what is expired at the front, then looks at one page elsewhere.
func (s *sweeper) pass(ctx context.Context) error {
	for at, skipped := s.front, 0; ; {
		p, err := s.page(ctx, at)
		if err != nil {
			return err
		}
		if p.past() && at == s.front {
			s.front = p.next
			skipped++
		}
		if p.expired < sweepPage/2 && (!p.past() || skipped > sweepSkips) {
			break
		}
		at = p.next
	}
	p, err := s.page(ctx, s.slow)
	if s.slow = p.next; s.slow.IsZero() {
		s.front = firstTimed()
	}
	return err
}

// page looks at one page of marks.
func (s *sweeper) page(ctx context.Context, from task.ID) (p swept, err error) {
	release, err := s.own.mark(ctx)
	if err != nil {
		return swept{}, err
	}
	defer release()
	var certain time.Time
	if err := s.own.await(ctx, func(c *core, answer func()) {
		c.watchMarks()
		certain = s.own.certain()
		answer()
	}); err != nil {
		return swept{}, err
	}
	rows, err := s.own.e.cfg.Store.Load(ctx, store.Scan{
		Part: s.own.part, Table: store.TableDedup, From: &store.Dedup{ID: from}, Limit: sweepPage, Bytes: maxLeaseBytes,
	})
	if err != nil {
		return swept{}, err
	}
	now := s.own.e.cfg.Clock.Now()
	var gone []*store.Dedup
	for _, row := range rows {
		mark, ok := row.(*store.Dedup)
		if !ok {
			continue
		}
		p.next = after(mark.ID)
		switch {
		case lasts(mark):
			p.lasting++
		case sweepable(mark, now, certain):
			gone = append(gone, &store.Dedup{ID: mark.ID})
		}
	}
	err = s.own.await(ctx, func(c *core, answer func()) {
		c.sweep(gone)
		if len(gone) == 0 {
			answer()
			return
		}
		c.afterDurable(answer) // one page at a time, so that no batch grows large
	})
	p.expired = len(gone)
	return p, err
}

// mark makes the caller the only one who works with marks that were read, which
// the core is to watch meanwhile, and returns what ends that.
func (own *ownership) mark(ctx context.Context) (release func(), err error) {
	select {
	case own.marking <- struct{}{}:
		return func() { <-own.marking }, nil
	case <-own.gone:
		return nil, notServed(own.part)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// lasts reports whether a mark does not go with time: its task waits in the store,
// or is a dead letter, which is found by it.
func lasts(mark *store.Dedup) bool {
	return mark.Expires.IsZero() || mark.State == task.StateDead && mark.Ref != 0
}

// sweepable reports whether a mark has expired and the broker cannot give its task
// again. A task is settled right after its mark was written, and thus long before
// the mark expires: one that expired before the first settle that the broker may not
// have heard of is not needed for that.
func sweepable(mark *store.Dedup, now, certain time.Time) bool {
	return !lasts(mark) && now.After(mark.Expires) && mark.Expires.Before(certain)
}

// certain returns the moment before which nothing was settled that a reader of the
// partition may still get. It runs in the core.
func (own *ownership) certain() time.Time {
	certain := own.e.cfg.Clock.Now()
	for _, f := range own.feeders {
		if late, ok := f.reader.(broker.Late); ok {
			if at := late.Certain(); at.Before(certain) {
				certain = at
			}
		}
	}
	return certain
}

// await runs f in the core and waits for its answer.
func (own *ownership) await(ctx context.Context, f func(c *core, answer func())) error {
	answered := make(chan struct{})
	if !own.mail.post(func(c *core, _ time.Time) { f(c, func() { close(answered) }) }) {
		return context.Canceled
	}
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// after is the ID that follows id; the last one is followed by zero.
func after(id task.ID) task.ID {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]++
		if id[i] != 0 {
			break
		}
	}
	return id
}
