package partition

import (
	"context"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// simFront is before all timestamps of the simulated time, and after the numbers of
// rows that were shifted before those.
var simFront = uint64(task.TimestampAt(time.Date(2012, 1, 1, 0, 0, 0, 0, time.UTC)))

// letters has somebody change dead letters of a partition: some are requeued, some
// deleted, a key that waits goes on.
func (w *world) letters() {
	if len(w.owners) == 0 {
		return
	}
	o := pick(w, w.owners...)
	if o.changing {
		return // one at a time: the row must be there that was read
	}
	rows, err := w.store.Load(context.Background(), store.Scan{Part: o.part, Table: store.TableDead, Limit: 100})
	w.must(err)
	var letters []*letter
	for _, row := range rows {
		if !w.chance(2) {
			continue
		}
		r := row.(*store.Dead)
		t, err := task.Decode(r.Body)
		w.must(err)
		letters = append(letters, &letter{row: r, task: t, body: r.Body})
	}
	if len(letters) == 0 {
		return
	}
	o.changing = true
	o.core.watchMarks()
	w.must(o.markLetters(context.Background(), letters))
	requeues := !w.chance(4)
	o.mail.post(func(c *core, now time.Time) {
		for _, d := range letters {
			if !requeues {
				w.must(c.discard(d, false))
			} else if c.requeue(now, c.revived(now, d)) == nil {
				w.tally.requeued++
			}
		}
		if w.chance(3) {
			c.resumeKey(letters[0].row.Queue, letters[0].task.Key, func(error) {})
		}
		c.afterDurable(func() { o.changing = false })
	})
}

// again takes the mark of a dead letter that went back or was deleted, and reports
// whether it is one.
func (c *checking) again(r *store.Dedup, l *life) bool {
	switch {
	case l.state != task.StateDead:
		return false
	case r.State == task.StateDead:
		return r.Ref == 0
	case r.State != task.StateQueued:
		return false
	}
	// Only a key that waits begins with its dead letters; elsewhere they come behind
	// others.
	note := rowName(&store.Parked{Queue: r.Queue, Key: r.Key, Seq: haltSeq})
	_, waits := c.p.rows[store.TableParked][note]
	ends := slices.ContainsFunc(c.batch.Deletes, func(row store.Row) bool { return row.Table() == store.TableParked && rowName(row) == note })
	if waits != (r.Ref < simFront) && !ends {
		c.failf("task %v comes back as row %d, its key waits: %v", r.ID, r.Ref, waits)
	}
	l.state, l.attempts, l.waits, l.back = task.StateUnknown, 0, true, l.token
	l.moved, l.revived = l.moved || r.Ref >= simFront, true
	return true
}

// noteOf reports whether a row notes that a key waits for a person.
func noteOf(row store.Row) bool {
	r, ok := row.(*store.Parked)
	return ok && r.Key != "" && r.Seq == haltSeq
}
