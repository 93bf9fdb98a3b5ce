package partition

import (
	"context"
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// parkedExpiries holds the next ones of the parked tasks that expire; the index has all
// of them. Each is an item of which only the ID, the time and the row's number are
// known. One that is in memory too is left to those there, and is back here when it
// leaves memory.
type parkedExpiries struct {
	scheduler
	ending bool // some are being looked for in the store
}

// next is when something is to be done; zero: nothing is.
func (p *parkedExpiries) next() time.Time {
	if p.ending {
		return time.Time{}
	}
	return p.scheduler.next()
}

// expiryOf is what is held of a parked task that expires.
func expiryOf(id task.ID, at moment) item {
	return item{Task: task.Task{ID: id, ExpiresAt: at.due}, due: at.due, seq: at.seq, size: itemOverhead}
}

// indexExpiry notes with a task's parked row that it expires.
func (c *core) indexExpiry(it *item) {
	if it.expires() {
		c.led.Put(store.Expires(it.ExpiresAt, it.seq, it.ID))
		c.holdExpiry(it)
	}
}

// holdExpiry makes a parked task that leaves memory end at its time.
func (c *core) holdExpiry(it *item) {
	at := moment{it.ExpiresAt, it.seq}
	if it.expires() && c.parkedExpiries.holds(at) {
		held := expiryOf(it.ID, at)
		c.parkedExpiries.hold(&held)
	}
}

// unindexExpiry follows when a task's parked row goes.
func (c *core) unindexExpiry(it *item) {
	if it.expires() {
		c.led.Delete(store.Expires(it.ExpiresAt, it.seq, it.ID))
		c.parkedExpiries.remove(moment{it.ExpiresAt, it.seq})
	}
}

// expireParked ends tasks in the store whose time is over, a page of them at a time.
func (c *core) expireParked(now time.Time) {
	p := &c.parkedExpiries
	if p.ending {
		return
	}
	x := &cancelling{expired: now, waiting: true}
	for len(x.results) < parkedPage {
		it := p.take(now)
		if it == nil {
			break
		}
		if c.tasks[it.ID] == nil {
			x.results = append(x.results, CancelResult{ID: it.ID})
		}
	}
	if len(x.results) == 0 {
		return
	}
	p.ending = true
	x.places = make([]place, len(x.results))
	x.answer = func([]CancelResult) { p.ending = false }
	c.cancel(now, x)
}

// expiriesLoaded takes a page of parked tasks that expire, in the order of their times;
// more says that others may follow.
func (c *core) expiriesLoaded(page []arrival, more bool) { c.parkedExpiries.fetched(page, more) }

// LoadExpiries implements env.
func (own *ownership) LoadExpiries(at time.Time, seq uint64) {
	own.rows.add(func(ctx context.Context) error {
		from, to := store.AllExpires()
		if !at.IsZero() {
			from = store.Expires(at, seq+1, task.ID{})
		}
		rows, err := own.e.cfg.Store.Load(ctx, store.Scan{Part: own.part, Table: store.TableRecord, From: from, To: to, Limit: schedulePage})
		if err != nil {
			return fmt.Errorf("load parked tasks that expire: %w", err)
		}
		page := make([]arrival, 0, len(rows))
		for _, row := range rows {
			at, seq, id, err := store.ExpiresOf(row)
			if err != nil {
				own.log.Error("parked task that expires is not known", "error", err)
				own.e.counts.corrupt.Inc()
				continue
			}
			page = append(page, arrival{item: expiryOf(id, moment{at, seq})})
		}
		own.mail.post(func(c *core, _ time.Time) { c.expiriesLoaded(page, len(rows) > 0) })
		return nil
	})
}
