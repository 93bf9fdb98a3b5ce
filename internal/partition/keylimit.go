package partition

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
)

// Bounds of how queues with a limit for each key are served.
const (
	leastAsk  = 16  // tasks of a line that are looked at before a worker is asked for
	spareKeys = 512 // counts of keys that are kept to be used again
)

// keyWaitMark leads the class in the names of lanes whose tasks wait for their key. No
// class begins with it.
const keyWaitMark = "="

// keyCount counts what runs of one key of a queue without order in which so many tasks
// of a key may run at a time.
type keyCount struct {
	key     string
	running int     // tasks of leases, and those that are offered right now
	waits   []*lane // of tasks beyond the limit, one for each line that has some
}

// keyWait is what a lane is where tasks wait until fewer of their key run. It never
// goes to a worker: its tasks move on to the line of their class, where they take the
// place that their age gives them.
type keyWait struct {
	of    *keyCount
	line  *lane
	class string // in parked rows
	ahead int    // of its tasks, those that stand in the line
	index int    // in queue.waits; gone: it is not among them
}

// gone says that a lane is not used any more.
const gone = -1

// keyRoom is how many more tasks of a key may start.
func (q *queue) keyRoom(k *keyCount) int {
	if q.KeyConcurrency == 0 {
		return math.MaxInt
	}
	return q.KeyConcurrency - k.running
}

func (q *queue) keyOf(key string) *keyCount {
	k := q.keys[key]
	if k == nil {
		if n := len(q.spare); n > 0 {
			k, q.spare = q.spare[n-1], q.spare[:n-1]
		} else {
			k = &keyCount{}
		}
		k.key = strings.Clone(key) // It may last for longer than the task that came first.
		q.keys[k.key] = k
	}
	return k
}

// dropKey forgets a key of which nothing runs and nothing waits.
func (q *queue) dropKey(k *keyCount) {
	if k.running > 0 || len(k.waits) > 0 {
		return
	}
	delete(q.keys, k.key)
	if k.key = ""; len(q.spare) < spareKeys {
		q.spare = append(q.spare, k)
	}
}

// laneBehind returns where a task of a line waits: behind others of its key that wait
// for their key, or with them if there is no room, else in the line.
func (q *queue) laneBehind(line *lane, key string) *lane {
	k := q.keys[key]
	if k == nil {
		return line
	}
	if w := k.behind(line); w != nil && (w.items.len() > 0 || w.tail) {
		return w
	}
	if q.keyRoom(k) > 0 {
		return line
	}
	return q.waitLane(k, line)
}

// behind returns where tasks of the key wait before they move on to a line, or nil.
func (k *keyCount) behind(line *lane) *lane {
	for _, w := range k.waits {
		if w.wait.line == line {
			return w
		}
	}
	return nil
}

func (q *queue) waitLane(k *keyCount, line *lane) *lane {
	if w := k.behind(line); w != nil {
		return w
	}
	w := &lane{q: q, key: k.key, wait: &keyWait{of: k, line: line, class: keyWaitMark + line.class.name, index: len(q.waits)}}
	w.join(line.class)
	k.waits = append(k.waits, w)
	q.waits = append(q.waits, w)
	return w
}

// endWait drops a lane in which nothing waits any more.
func (q *queue) endWait(w *lane) {
	k, last := w.wait.of, q.waits[len(q.waits)-1]
	q.waits[w.wait.index] = last
	last.wait.index = w.wait.index
	q.waits[len(q.waits)-1] = nil
	q.waits = q.waits[:len(q.waits)-1]
	w.wait.index = gone
	w.join(nil)
	k.waits = slices.DeleteFunc(k.waits, func(other *lane) bool { return other == w })
	q.dropKey(k)
}

// limitKeys takes over how many tasks of a key may run at a time.
func (c *core) limitKeys(q *queue, before int) {
	if q.KeyConcurrency == before {
		return
	}
	if before == 0 {
		for _, ls := range c.leases {
			for _, it := range ls.items {
				if ls.lane.q == q && it != nil && it.Key != "" && it.runs == nil {
					it.runs = q.keyOf(it.Key)
					it.runs.running++
				}
			}
		}
	}
	c.woken = append(c.woken, q.waits...)
}

// startable looks for tasks at the head of a line that may start as far as their keys
// go, sets those aside whose keys have no room, and returns how many stand in front,
// no more than most. They count as running until the round of offers ends.
func (c *core) startable(now time.Time, line *lane, most int) int {
	q := line.q
	if q.KeyConcurrency == 0 {
		return most
	}
	line.ask = max(line.ask, leastAsk)
	most = min(most, line.ask)
	if line.vetted == 0 {
		c.vetting = append(c.vetting, line)
	}
	for line.vetted < min(most, line.items.len()) {
		it := line.items.at(line.vetted)
		if it.expired(now) {
			line.remove(it)
			c.expire(now, it)
			continue
		}
		if it.Key != "" && it.runs == nil {
			k := q.keyOf(it.Key)
			if q.keyRoom(k) <= 0 {
				c.setBack(it, k)
				continue
			}
			k.running++
			it.runs = k
		}
		line.vetted++
	}
	return min(most, line.vetted)
}

// endOffers takes back what was counted as running and did not start.
func (c *core) endOffers() {
	for _, line := range c.vetting {
		for i := range line.vetted {
			c.stops(line.items.at(i))
		}
		line.vetted = 0
	}
	c.vetting = c.vetting[:0]
}

// starts notes that a task of a lease begins.
func (c *core) starts(it *item) {
	w := it.from
	if w == nil {
		return
	}
	it.from = nil
	if w.wait.ahead--; w.members+w.wait.ahead == 0 {
		c.woken = append(c.woken, w) // it may have been the last
	}
}

// stops notes that a task runs no more, or did not start: another one of its key may.
func (c *core) stops(it *item) {
	k := it.runs
	if k == nil {
		return
	}
	it.runs = nil
	k.running--
	if len(k.waits) > 0 {
		c.woken = append(c.woken, k.waits...)
		return
	}
	it.lane.q.dropKey(k)
}

// setBack moves a task out of its line whose key has no room.
func (c *core) setBack(it *item, k *keyCount) {
	line := it.lane
	line.remove(it)
	line.members--
	if it.from != nil {
		it.from.wait.ahead--
		it.from = nil
	}
	w := line.q.waitLane(k, line)
	w.members++
	w.insert(it)
	line.q.metrics.keyWaits.Inc()
}

// goOnFor moves tasks on whose key has room, reads others of them that are in the
// store, and drops the lane when there are none.
func (c *core) goOnFor(now time.Time, w *lane) {
	if w.wait.index == gone {
		return
	}
	q, line := w.q, w.wait.line
	if c.waitsAside(now, w) {
		return
	}
	room := q.keyRoom(w.wait.of)
	for moved := false; room > w.wait.ahead && w.items.len() > 0; moved = true {
		it := w.popFront()
		w.members--
		it.from = w
		w.freed = now
		w.wait.ahead++
		line.members++
		line.insert(it)
		if !moved {
			c.wake(now, line)
		}
	}
	switch {
	case !w.tail:
		if w.members+w.wait.ahead == 0 && !w.fetching {
			q.endWait(w)
		}
	case w.items.len() == 0 && room > w.wait.ahead:
		c.fetch(w)
	}
}

// waitsAside sets a lane aside with the line of its class where that is in the store
// for want of a worker, unless it was read back a short while ago.
func (c *core) waitsAside(now time.Time, w *lane) bool {
	line := w.wait.line
	if age := now.Sub(w.readAt); !line.class.starved || !line.tail || !w.tail && w.items.len() == 0 || age >= 0 && age <= parkAfter || !c.roomAside(w.q) {
		return false
	}
	c.evict(now, w, 0)
	c.fetch(w)
	return true
}

// left notes that a task is in memory no more that waited for its key, or had moved
// on and did not start.
func (c *core) left(it *item) {
	if w := it.from; w != nil {
		w.wait.ahead--
		it.from = nil
		c.woken = append(c.woken, w)
	}
	if l := it.lane; l.wait != nil && l.items.len() == 0 {
		c.woken = append(c.woken, l)
	}
}

// shareOfKey is how much of a quarter of its queue's window one key has for tasks that
// wait for their key.
func (c *core) shareOfKey(q *queue) broker.Limit {
	n := max(1, len(q.waits))
	return broker.Limit{Tasks: min(c.cfg.Page, c.cfg.Window.Tasks/4/n), Bytes: c.cfg.Window.Bytes / 4 / n}
}

// pageOf is how many rows of a lane are read at a time.
func (c *core) pageOf(l *lane) int {
	if l.wait == nil {
		return c.cfg.Page
	}
	share := c.shareOfKey(l.q).Tasks
	return max(1, share, min(c.cfg.Page, l.q.keyRoom(l.wait.of)-l.wait.ahead))
}

// spread sets aside what keys at their limit have beyond their share of the window,
// while workers have room for tasks that may be behind them.
func (c *core) spread(now time.Time, q *queue) {
	if len(q.waits) == 0 || !slices.ContainsFunc(q.classes, func(cl *class) bool { return !cl.starved && c.env.HasRoom(&q.Queue, cl.place) }) {
		return
	}
	// Where there are very many keys, it looks less often.
	if since := now.Sub(q.spread); since >= 0 && since < lookInterval*time.Duration(1+len(q.waits)/1024) {
		return
	}
	q.spread = now
	share := c.shareOfKey(q)
	for _, w := range q.waits {
		stay, left := 0, share
		for stay < w.items.len() && left.Tasks > 0 && w.items.at(stay).size <= left.Bytes {
			left.Tasks--
			left.Bytes -= w.items.at(stay).size
			stay++
		}
		c.evict(now, w, stay)
	}
}

// insert puts a task where its age has it, among others that mostly stand by theirs.
func (l *lane) insert(it *item) {
	low, high := 0, l.items.len()
	for low < high {
		mid := (low + high) / 2
		if l.items.at(mid).CreatedAt <= it.CreatedAt {
			low = mid + 1
		} else {
			high = mid
		}
	}
	it.lane = l
	l.items.insert(low, it)
	l.bytes += it.size
}

// isKeyWait reports whether parked rows of the class are of tasks that wait for their
// key, and returns the class of their line.
func isKeyWait(class string) (of string, is bool) { return strings.CutPrefix(class, keyWaitMark) }

// findWait returns the lane of a key with a name, or nil.
func (q *queue) findWait(n laneName) *lane {
	k := q.keys[n.key]
	if k == nil {
		return nil
	}
	i := slices.IndexFunc(k.waits, func(w *lane) bool { return w.wait.class == n.class })
	if i < 0 {
		return nil
	}
	return k.waits[i]
}

// rowLane returns the lane among whose rows the task's is, and how it is called; the
// lane may be gone.
func (it *item) rowLane() (*lane, laneName) {
	l := it.lane
	line := l
	if l.wait != nil {
		line = l.wait.line
	}
	if !it.byKey {
		return line, line.name()
	}
	n := laneName{queue: l.q.Name, key: it.Key, class: keyWaitMark + line.class.name}
	return l.q.findWait(n), n
}

// explainKey says whether a task that could start waits for its key.
func (c *core) explainKey(q *queue, key string) (Explanation, bool) {
	if q.KeyConcurrency == 0 || q.Paused || c.draining || key == "" {
		return Explanation{}, false
	}
	k := q.keys[key]
	if k == nil || q.keyRoom(k) > 0 {
		return Explanation{}, false
	}
	x := Explanation{Reason: ReasonKeyConcurrency, KeyRunning: k.running, KeyMost: q.KeyConcurrency}
	for _, w := range k.waits {
		x.Ahead += int64(w.items.len())
	}
	return x, true
}

// explainParkedKey is for a task that may wait in the store for its key.
func (c *core) explainParkedKey(queue, key string) (Explanation, bool) {
	q := c.queues[queue]
	if q == nil || q.keys[key] == nil || !slices.ContainsFunc(q.keys[key].waits, func(w *lane) bool { return w.tail }) {
		return Explanation{}, false
	}
	return c.explainKey(q, key)
}
