package partition

import (
	"slices"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/cron"
	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// queue is one queue's part in this partition.
type queue struct {
	task.Queue
	lanes   map[string]*lane // of keys
	bands   []*band          // by rank
	turn    uint64           // what the band had spent whose turn was the latest one
	classes []*class         // of all bands
	kept    int              // of classes that nothing belongs to any more
	sweepAt int              // number of classes at which such are looked for
	looked  time.Time        // when the window was looked at the last time
	stats   QueueStats
	metrics *queueMetrics
	own     bool // its tasks are messages that the core works on itself

	limited   bool    // by what all partitions of the node have running and start
	throttled bool    // nothing may start now; permitted follows
	permits   permits // for the lease that is being made

	keys   map[string]*keyCount // of which something runs or waits, where there is a limit for each key
	waits  []*lane              // of all of them
	spread time.Time            // when they were looked at to see what they have in memory
	spare  []*keyCount          // to be used again

	purge *purging // that goes on; nil: none
}

// configure adds a queue or changes its settings.
func (c *core) configure(settings task.Queue) {
	q := c.queues[settings.Name]
	if q == nil {
		q = &queue{
			Queue: settings, lanes: make(map[string]*lane), keys: make(map[string]*keyCount),
			kept: c.cfg.Classes, sweepAt: c.cfg.Classes, metrics: c.counts.queue(settings.Name),
			own: settings.Name == saga.Queue || settings.Name == cron.Queue,
		}
		q.addBand(rankNormal)
		if settings.Banded {
			q.widen()
		}
		c.queues[settings.Name] = q
		c.order = append(c.order, q)
		c.limit(q, &settings)
		return
	}
	before := q.KeyConcurrency
	q.Queue = settings
	if settings.Banded {
		q.widen()
	}
	c.limitKeys(q, before)
	c.limit(q, &settings)
	for _, cl := range q.classes {
		cl.place = cl.own.With(settings.Placement)
		cl.since = time.Time{}
		q.open(cl)
	}
	if settings.OnDead == task.OnDeadSkip {
		for _, l := range q.lanesWhere(func(l *lane) bool { return l.status == laneHalted }) {
			c.unhalt(l)
		}
	}
}

// lanesWhere returns some of the lanes of keys, sorted by key: what follows from
// them is the same in every replay.
func (q *queue) lanesWhere(is func(*lane) bool) (found []*lane) {
	for _, l := range q.lanes {
		if is(l) {
			found = append(found, l)
		}
	}
	slices.SortFunc(found, func(a, b *lane) int { return strings.Compare(a.key, b.key) })
	return found
}

// restoreParked takes the first of a lane's parked rows that the store holds.
func (c *core) restoreParked(now time.Time, head *store.Parked) {
	q := c.queues[head.Queue]
	if q == nil {
		return // the queue was removed
	}
	if head.Key != "" && head.Seq == haltSeq {
		c.restoreHalted(head)
		return
	}
	t, err := task.Decode(head.Body)
	class, waits := isKeyWait(head.Class)
	cl := q.classOf(&t)
	if head.Key == "" || waits {
		cl = q.classNamed(class)
	}
	l := cl.shared
	switch {
	case waits:
		l = q.waitLane(q.keyOf(head.Key), l)
	case head.Key != "":
		l = q.laneOfKey(head.Key)
		if err == nil { // else what the first task asks is not known
			l.join(cl)
			l.headRow = head.Seq
		}
	}
	l.tail = true
	c.wake(now, l)
}

// find returns the lane that parked rows belong to. It is there while they are
// being read.
func (q *queue) find(n laneName) *lane {
	if n.key != "" {
		if _, waits := isKeyWait(n.class); waits {
			return q.findWait(n)
		}
		return q.lanes[n.key]
	}
	for _, cl := range q.classes {
		if cl.name == n.class {
			return cl.shared
		}
	}
	return nil
}

// laneOf returns the lane that a task waits in.
func (q *queue) laneOf(t *task.Task) *lane {
	if t.Key == "" || q.Order == task.OrderNone {
		line := q.classOf(t).shared
		if q.KeyConcurrency > 0 && t.Key != "" {
			return q.laneBehind(line, t.Key)
		}
		return line
	}
	return q.laneOfKey(t.Key)
}

func (q *queue) laneOfKey(key string) *lane {
	l := q.lanes[key]
	if l == nil {
		l = &lane{q: q, key: key, ordered: true}
		q.lanes[key] = l
	}
	return l
}

// store counts a task of a schedule or parked row that is in memory; unstore one
// that is not any more.
func (q *queue) store(it *item) {
	b := q.bands[it.rank]
	b.stored.Tasks++
	b.stored.Bytes += it.size
}

func (q *queue) unstore(it *item) {
	b := q.bands[it.rank]
	b.stored.Tasks--
	b.stored.Bytes -= it.size
}

// wanting reports whether lanes wait for room to read their rows.
func (q *queue) wanting() bool {
	return slices.ContainsFunc(q.bands, func(b *band) bool { return b.hungry.len()+b.readers.len() > 0 })
}

// full reports whether no more of a band's rows may be read into memory. What
// workers have does not count, or a few slow ones would keep all others out.
func (c *core) full(b *band) bool {
	return b.stored.Tasks-b.out.Tasks >= c.cfg.Stored.Tasks || b.stored.Bytes-b.out.Bytes >= c.cfg.Stored.Bytes
}

// countOut counts, for queues with lanes that wait for room, what of their rows
// workers have. The count is as old as the last tick.
func (c *core) countOut() {
	for _, q := range c.order {
		for _, b := range q.bands {
			b.out = broker.Limit{}
		}
	}
	for _, ls := range c.leases {
		q := ls.lane.q
		if !q.wanting() {
			continue
		}
		for _, it := range ls.items {
			if it != nil && it.origin != inBroker {
				b := q.bands[it.rank]
				b.out.Tasks++
				b.out.Bytes += it.size
			}
		}
	}
}

// over reports whether more of a band's rows are in memory than may be.
func (c *core) over(b *band) bool {
	return b.stored.Tasks > c.cfg.Stored.Tasks || b.stored.Bytes > c.cfg.Stored.Bytes && b.stored.Tasks > 1
}
