package partition

import (
	"context"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// expireInTime holds, when there is nothing to do now, that no task waits that has
// expired, but for those that the broker has: nobody may have read these.
func (m *model) expireInTime() {
	for _, id := range m.open() {
		l := m.tasks[id]
		if l.task.ExpiresAt.IsZero() || l.revived || m.w.Now().Sub(l.task.ExpiresAt) < time.Second {
			continue
		}
		held := false
		for _, o := range m.w.current {
			if o == nil || o.core.tasks[id] == nil {
				continue
			}
			held = true
			if it := o.core.tasks[id]; it.state != task.StateRunning && it.expired(m.w.Now()) {
				m.w.failf("task %v is in memory, expired at %v: %s", id, it.ExpiresAt, m.describe(id))
			}
		}
		for _, p := range m.parts {
			if mark, ok := p.rows[store.TableDedup][id.String()].(*store.Dedup); ok && !held && (mark.State == task.StateQueued || mark.State == task.StateScheduled) {
				m.w.failf("task %v is in the store as %v, expired at %v: %s", id, mark.State, l.task.ExpiresAt, m.describe(id))
			}
		}
	}
}

// nothingExpires holds that the index has nothing left of tasks that expire.
func (m *model) nothingExpires(part int) {
	from, to := store.AllExpires()
	rows, err := m.w.store.Load(context.Background(), store.Scan{Part: part, Table: store.TableRecord, From: from, To: to, Limit: 1})
	m.w.must(err)
	if len(rows) > 0 {
		m.w.failf("part %d: row %s of the index is left behind", part, rowName(rows[0]))
	}
}

// forgetExpiries makes a core forget which tasks expire.
func forgetExpiries(c *core) {
	for _, it := range c.expiries {
		it.expiry = 0
	}
	c.expiries = nil
	c.parkedExpiries.ahead, c.parkedExpiries.bytes = nil, 0
}
