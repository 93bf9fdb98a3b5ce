package partition

import (
	"context"
	"errors"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// maxRefusals is how many of the dead letters that could not be changed are named.
const maxRefusals = 20

// DeadOp is what is done with dead letters.
type DeadOp uint8

// The operations.
const (
	DeadCount   DeadOp = iota // nothing: they are counted
	DeadRequeue               // back into their queue
	DeadDelete                // removed for good
)

// DeadChange asks to change the dead letters that a filter means, a bounded number at
// a time.
type DeadChange struct {
	Op     DeadOp
	Filter DeadFilter
	Limit  int    // most to change with this call
	Page   string // where the call before ended; empty: begin
}

// DeadProgress is what one call did.
type DeadProgress struct {
	Examined int
	Matched  int
	Changed  int // with DeadCount: would be
	Refused  []DeadRefusal
	Refusals int    // number of those that were refused; at most 20 are in Refused
	Next     string // goes on from here; empty: this was the last call
}

// DeadRefusal is a dead letter that could not be changed.
type DeadRefusal struct {
	ID  task.ID
	Err error
}

// ChangeDead changes dead letters partition by partition, in the order of each key,
// and returns after a bounded number of them, of rows, or of time. What died after a
// partition was begun does not count: a task that dies again is not met again. Every
// change that is reported is durable. Calls may be repeated, and end anywhere.
func (e *Engine) ChangeDead(ctx context.Context, req DeadChange) (DeadProgress, error) {
	var p DeadProgress
	if req.Limit < 1 {
		return p, badLimit(req.Limit)
	}
	cur, err := e.deadFrom(&req.Filter, req.Page)
	if err != nil {
		return p, err
	}
	for b := e.newBudget(); ; {
		examined, err := e.changePage(ctx, &req, cur, &p)
		if err != nil {
			return p, err
		}
		p.Examined += examined
		switch {
		case examined == 0:
			if !e.nextPart(&req.Filter, cur) {
				return p, nil
			}
		case p.Matched >= req.Limit || b.spent(examined):
			p.Next = cur.token()
			return p, nil
		}
	}
}

// changePage takes one page of rows at the cursor, and returns how many it looked at.
func (e *Engine) changePage(ctx context.Context, req *DeadChange, cur *deadCursor, p *DeadProgress) (int, error) {
	own := e.owners[cur.part].serving(ctx)
	if own == nil {
		return 0, notServed(cur.part)
	}
	if req.Op != DeadCount {
		release, err := own.holdDead(ctx)
		if err != nil {
			return 0, err
		}
		defer release()
	}
	if cur.until == 0 {
		until, err := askIn(ctx, own, func(c *core, now time.Time, answer func(task.Timestamp)) { answer(c.led.Stamp(now)) })
		if err != nil {
			return 0, err
		}
		cur.until = until
	}
	at := *cur
	rows, err := e.deadRows(ctx, &req.Filter, cur, deadPage)
	if err != nil {
		return 0, err
	}
	letters, examined := e.lettersOf(req, &at, rows, req.Limit-p.Matched)
	*cur = at
	p.Matched += len(letters)
	if req.Op == DeadCount {
		p.Changed += len(letters)
		return examined, nil
	}
	if len(letters) == 0 {
		return examined, nil
	}
	errs, err := own.changeWith(context.WithoutCancel(ctx), req.Op, letters)
	if err != nil {
		return 0, err
	}
	p.took(letters, errs)
	return examined, nil
}

// lettersOf picks what the filter means out of rows, up to a limit, and moves the
// cursor behind what was looked at.
func (e *Engine) lettersOf(req *DeadChange, at *deadCursor, rows []*store.Dead, limit int) (letters []*letter, examined int) {
	for _, row := range rows {
		if len(letters) == limit {
			break
		}
		examined++
		at.queue, at.seq = row.Queue, row.Seq+1
		if row.DiedAt > at.until {
			continue
		}
		if t, ok := e.decodeDead(at.part, row); ok && req.Filter.match(row, &t) {
			letters = append(letters, &letter{row: row, task: t, body: row.Body})
		}
	}
	return letters, examined
}

func (own *ownership) changeWith(ctx context.Context, op DeadOp, letters []*letter) ([]error, error) {
	if op == DeadDelete {
		return own.changeDead(ctx, letters, deleteLetter)
	}
	return own.reviveDead(ctx, letters, func(c *core, now time.Time, d *letter) error { return c.requeue(now, c.revived(now, d)) })
}

func deleteLetter(c *core, _ time.Time, d *letter) error { return c.discard(d, false) }

func (p *DeadProgress) took(letters []*letter, errs []error) {
	for i, err := range errs {
		if err == nil {
			p.Changed++
			continue
		}
		p.Refusals++
		if len(p.Refused) < maxRefusals {
			p.Refused = append(p.Refused, DeadRefusal{ID: letters[i].task.ID, Err: err})
		}
	}
}

// retireInterval is the time between looks for dead letters that were kept for long
// enough.
const retireInterval = 30 * time.Second

// retireDead removes dead letters of queues with a dead_ttl, until ctx ends.
func (own *ownership) retireDead(ctx context.Context) {
	for own.e.wait(ctx, retireInterval) {
		if err := own.retireAll(ctx); err != nil {
			own.fail(err)
			return
		}
	}
}

// retireAll removes the dead letters of all queues that are kept for long enough.
func (own *ownership) retireAll(ctx context.Context) error {
	for _, q := range own.e.Queues() {
		if q.DeadTTL <= 0 {
			continue
		}
		n, err := own.retire(ctx, &q)
		if n > 0 {
			own.log.Info("dead letters removed after dead_ttl", "queue", q.Name, "dead_letters", n, "dead_ttl", q.DeadTTL)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// retire removes the dead letters of a queue that are older than it keeps them. Rows
// are in the order of deaths, but for those that kept their place when they died
// again: none is older than its number says.
func (own *ownership) retire(ctx context.Context, q *task.Queue) (removed int, err error) {
	f := DeadFilter{Queue: q.Name}
	for cur := (&deadCursor{part: own.part, queue: q.Name}); ; {
		before := own.e.cfg.Clock.Now().Add(-q.DeadTTL)
		n, more, err := own.retirePage(ctx, &f, cur, before)
		removed += n
		if err != nil || !more {
			return removed, err
		}
	}
}

func (own *ownership) retirePage(ctx context.Context, f *DeadFilter, cur *deadCursor, before time.Time) (removed int, more bool, err error) {
	release, err := own.holdDead(ctx)
	if err != nil {
		return 0, false, nil // the ownership ends, and with it this work
	}
	defer func() {
		if err == nil { // else the ownership ends: nobody may come after what is unknown
			release()
		}
	}()
	rows, err := own.e.deadRows(ctx, f, cur, deadPage)
	if err != nil || len(rows) == 0 {
		return 0, false, err
	}
	more = task.Timestamp(rows[len(rows)-1].Seq).Time().Before(before)
	var letters []*letter
	for _, row := range rows {
		if !row.DiedAt.Time().Before(before) {
			continue
		}
		if t, ok := own.e.decodeDead(own.part, row); ok {
			letters = append(letters, &letter{row: row, task: t, body: row.Body})
		}
	}
	if len(letters) == 0 {
		return 0, more, nil
	}
	errs, err := own.changeDead(ctx, letters, func(c *core, _ time.Time, d *letter) error { return c.discard(d, true) })
	for _, refused := range errs {
		if !errors.Is(refused, errHaltsKey) {
			removed++
		}
	}
	return removed, more, err
}
