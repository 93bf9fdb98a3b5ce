package partition

import (
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// seekTries bounds how often the mark of a task is read again because the task
// moved meanwhile.
const seekTries = 100

// cancelling is one call that cancels tasks, or ends those that have expired, from its
// arrival at the core to its answer.
type cancelling struct {
	why     string
	expired time.Time // they end as expired, if they were at this time; zero: they are cancelled
	purge   *Purge    // those that it does not mean stay; nil: all are meant
	waiting bool      // those that run stay
	ended   Purged    // how many tasks this call has ended
	results []CancelResult
	places  []place // of each; without a queue: the broker does not know it
	tries   int
	answer  func([]CancelResult)
}

// soughtMark is a mark that is being read.
type soughtMark struct {
	readers int
	written uint64 // how often the mark was written since the first reader came
}

// unreadTask is a task that was cancelled while the broker had it. Its mark is found
// by whoever looks it up from the given batch on; before, it is known from here.
type unreadTask struct {
	mark  *store.Dedup
	band  *band  // in whose log it is
	until uint64 // batches of that; noRow: its mark is not durable yet
}

// cancel takes tasks out that wait and asks for those to be stopped that run. It
// answers when all of that is durable.
//
// Where a task is that is not in memory says its mark: in a schedule or parked row,
// which goes, or ended. A task without a mark that the broker knows was not read yet:
// it gets the mark of one that was cancelled, which is found when it is read.
func (c *core) cancel(now time.Time, x *cancelling) {
	which := make([]int, len(x.results))
	for i := range which {
		which[i] = i
	}
	c.seek(now, x, which)
}

// seek looks after the given tasks of a call: in memory, else for their marks.
func (c *core) seek(now time.Time, x *cancelling, which []int) {
	which = c.cancelHeld(now, x, which)
	if len(which) == 0 {
		c.afterDurable(func() { x.answer(x.results) })
		return
	}
	if x.tries++; x.tries > seekTries {
		for _, i := range which {
			x.results[i].Err = task.Errorf(task.CodeUnavailable, "task %s moves all the time: try again", x.results[i].ID)
		}
		c.seek(now, x, nil)
		return
	}
	keys := make([]store.Row, len(which))
	for n, i := range which {
		keys[n] = &store.Dedup{ID: x.results[i].ID}
	}
	c.lookFor(x, which, keys, func(now time.Time, rows []store.Row, moved []bool) { c.marksFound(now, x, which, rows, moved) })
}

// cancelHeld cancels those of the tasks that are in memory, and returns the others.
func (c *core) cancelHeld(now time.Time, x *cancelling, which []int) (others []int) {
	for _, i := range which {
		if it := c.tasks[x.results[i].ID]; it != nil {
			c.cancelItem(now, it, x, &x.results[i])
		} else {
			others = append(others, i)
		}
	}
	return others
}

// lookFor reads rows once everything that was accepted is durable. moved says whose
// mark was written meanwhile: what was read of them is out of date.
func (c *core) lookFor(x *cancelling, which []int, keys []store.Row, found func(now time.Time, rows []store.Row, moved []bool)) {
	before := make([]uint64, len(which))
	for n, i := range which { // from now on: what is written before the read may not be durable then
		s := c.sought[x.results[i].ID]
		if s == nil {
			s = &soughtMark{}
			c.sought[x.results[i].ID] = s
		}
		s.readers++
		before[n] = s.written
	}
	c.afterDurable(func() {
		c.env.LoadRows(keys, func(now time.Time, rows []store.Row) {
			moved := make([]bool, len(which))
			for n, i := range which {
				id := x.results[i].ID
				s := c.sought[id]
				moved[n] = s.written != before[n] || c.tasks[id] != nil
				if s.readers--; s.readers == 0 {
					delete(c.sought, id)
				}
			}
			found(now, rows, moved)
		})
	})
}

// overtake notes that a mark is written.
func (c *core) overtake(id task.ID) {
	if s := c.sought[id]; s != nil {
		s.written++
	}
}

// marksFound takes the marks of tasks that are not in memory.
func (c *core) marksFound(now time.Time, x *cancelling, which []int, rows []store.Row, moved []bool) {
	var again, waiting []int
	var marks []*store.Dedup // of those that wait
	var keys []store.Row
	var owner []int // of each key: its place in waiting
	for n, i := range which {
		r := &x.results[i]
		mark, _ := rows[n].(*store.Dedup)
		switch {
		case moved[n]:
			again = append(again, i)
		case mark == nil || mark.Queue == "": // a mark without a queue is that of a commit
			c.cancelUnread(now, x.why, x.places[i], r)
		case mark.State == task.StateScheduled, mark.State == task.StateQueued:
			for _, key := range append(c.rowsOf(mark), &store.Attempt{ID: mark.ID}) {
				keys, owner = append(keys, key), append(owner, len(waiting))
			}
			waiting, marks = append(waiting, i), append(marks, mark)
		default:
			r.State = mark.State
			r.Stopping = mark.State == task.StateRunning
		}
	}
	if len(waiting) == 0 {
		c.seek(now, x, again)
		return
	}
	c.lookFor(x, waiting, keys, func(now time.Time, rows []store.Row, moved []bool) {
		found, attempts := make([]store.Row, len(waiting)), make([]*store.Attempt, len(waiting))
		for n, row := range rows {
			if attempt, ok := row.(*store.Attempt); ok {
				attempts[owner[n]] = attempt
			} else if row != nil {
				found[owner[n]] = row
			}
		}
		for n, i := range waiting {
			if moved[n] || found[n] == nil || !c.cancelRow(now, found[n], marks[n], attempts[n], x, &x.results[i]) {
				again = append(again, i)
			}
		}
		c.seek(now, x, again)
	})
}

// rowsOf returns where the row of a task may be that waits in the store.
func (c *core) rowsOf(mark *store.Dedup) (keys []store.Row) {
	if mark.State == task.StateScheduled {
		return []store.Row{&store.Schedule{Due: mark.Due, Seq: mark.Ref}}
	}
	q := c.queues[mark.Queue]
	if q == nil {
		return nil
	}
	if mark.Key != "" && q.Order == task.OrderKey {
		return []store.Row{laneName{queue: q.Name, key: mark.Key}.row(mark.Ref)}
	}
	if k := q.keys[mark.Key]; k != nil {
		for _, w := range k.waits {
			keys = append(keys, w.name().row(mark.Ref))
		}
	}
	for _, cl := range q.classes {
		if cl == cl.band.plain || cl.shared.tail {
			keys = append(keys, cl.shared.name().row(mark.Ref))
		}
	}
	return keys
}

// cancelItem cancels a task in memory, or asks the worker that has it to stop.
func (c *core) cancelItem(now time.Time, it *item, x *cancelling, r *CancelResult) {
	switch {
	case it.lane.q.own:
		r.Err = errOwnTask(it.ID)
	case it.state == task.StateRunning && x.waiting:
		r.State = task.StateRunning
	case it.state == task.StateRunning:
		r.State, r.Stopping = task.StateRunning, true
		c.stop(it, x.why)
	case x.spares(it, it.notBefore.After(now)):
		r.State = it.state
	default:
		x.ended.count(it.notBefore.After(now))
		c.takeOut(it)
		end := x.ending(it)
		r.State = end.state
		c.finish(now, it, end)
	}
}

// spares reports whether a task is not to end after all. scheduled says that it waits
// for its time, or for that of its next attempt.
func (x *cancelling) spares(it *item, scheduled bool) bool {
	return !x.expired.IsZero() && !it.expired(x.expired) || x.purge != nil && !x.purge.takes(it, scheduled)
}

// ending is how a task ends that is taken out.
func (x *cancelling) ending(it *item) ending {
	if !x.expired.IsZero() {
		return it.expiration()
	}
	return ending{state: task.StateCancelled, err: x.why}
}

func errOwnTask(id task.ID) error {
	return task.Errorf(task.CodeFailedPrecondition, "task %s is a message to a saga, which cannot be cancelled: see `fenfa saga`", id).WithField("id")
}

// takeOut takes a waiting task out of its lane, which moves on without it.
func (c *core) takeOut(it *item) {
	l := it.lane
	place := l.remove(it)
	if place != 0 || !l.ordered {
		return // it waited beside its lane, or behind others
	}
	switch l.status {
	case laneBlocked:
		l.status = laneIdle
	case laneReady:
		if l.items.len() > 0 && l.q.classOf(&l.items.at(0).Task) == l.class {
			return
		}
		l.class.withdraw(l)
		l.status = laneIdle
	case laneIdle, laneLeased, laneSettling, laneLoading, laneHalted:
	}
	if l.items.len() == 0 {
		l.join(nil)
	}
	c.woken = append(c.woken, l)
}

// stop asks the worker that has a task to stop it. The mark says so to whoever finds
// the task after this owner: then the attempt is fenced, and the task is cancelled.
func (c *core) stop(it *item, why string) {
	if it.stop != "" {
		return
	}
	it.stop = why
	c.putMark(c.waitingMark(it, task.StateRunning, it.seq, it.due))
	for _, ls := range c.leases {
		if ls.lane != it.lane {
			continue
		}
		if i := slices.Index(ls.items, it); i >= 0 {
			c.env.Cancel(ls.worker.Session, ls.ref, i)
			return
		}
	}
}

// finishStopped ends a task that was to be stopped, and whose attempt did not end as
// done.
func (c *core) finishStopped(now time.Time, it *item) {
	c.finish(now, it, ending{state: task.StateCancelled, err: it.stop})
}

// cancelRow cancels a task that waits in the store, and reports false if its row
// cannot be read. attempt is what is known of those there were, or nil.
func (c *core) cancelRow(now time.Time, row store.Row, mark *store.Dedup, attempt *store.Attempt, x *cancelling, r *CancelResult) bool {
	var body []byte
	var it item
	switch row := row.(type) {
	case *store.Schedule:
		body, it.origin, it.due, it.seq = row.Body, inSchedule, row.Due, row.Seq
	case *store.Parked:
		body, it.origin, it.seq = row.Body, inParked, row.Seq
		_, it.byKey = isKeyWait(row.Class)
	}
	t, err := task.Decode(body)
	if err != nil {
		return false
	}
	q := c.queues[t.Queue]
	switch {
	case q == nil:
		return false
	case q.own:
		r.Err = errOwnTask(t.ID)
		return true
	}
	if p, ok := row.(*store.Parked); ok {
		if class, waits := isKeyWait(p.Class); waits || p.Key == "" {
			it.lane = q.classNamed(class).shared
		}
	}
	it.Task, it.body, it.size = t, body, len(body)+itemOverhead
	if it.attempts, it.deliveries = mark.Attempts, mark.Deliveries; attempt != nil {
		it.attach(attempt)
	}
	scheduled := it.origin == inSchedule || it.notBefore.After(now)
	if r.State = mark.State; x.spares(&it, scheduled) {
		return true
	}
	x.ended.count(scheduled)
	end := x.ending(&it)
	r.State = end.state
	c.endMarked(now, q, &it, end)
	if l, _ := it.rowLane(); it.origin == inParked && l != nil {
		// Of those that are read at this moment, it must not be one.
		l.outdate(c.led.Number())
		if l.ordered && l.items.len() == 0 && (l.headRow == it.seq || l.headRow == 0) {
			c.beheaded(l)
		}
		if l.status == laneBlocked {
			l.status = laneIdle // until it is known whom the lane waits for now
		}
		c.woken = append(c.woken, l)
	}
	return true
}

// cancelUnread cancels a task that the broker has and nobody read yet.
func (c *core) cancelUnread(now time.Time, why string, at place, r *CancelResult) {
	q := c.queues[at.Queue]
	if q == nil || at.Settled {
		r.Err = errUnknownTask(r.ID)
		return
	}
	if q.own {
		r.Err = errOwnTask(r.ID)
		return
	}
	mark := &store.Dedup{ID: r.ID, State: task.StateCancelled, Queue: q.Name, FinishedAt: c.led.Stamp(now), Error: why}
	c.putMark(mark)
	q.count(task.StateCancelled)
	b := q.band(at.rank)
	u := &unreadTask{mark: mark, band: b, until: noRow}
	c.unread[r.ID] = u
	if at.Position > b.marked {
		b.marked = at.Position
		c.led.Put(&store.Dedup{ID: unreadID(b.log), State: task.StateCancelled, Ref: uint64(at.Position)})
	}
	c.afterDurable(func() {
		if u.until = c.env.LookUp(b.log, at.Position); u.until <= b.batches && c.unread[r.ID] == u {
			delete(c.unread, r.ID)
		}
	})
	r.State = task.StateCancelled
}

// unreadID is the ID of the row that says up to which position of a log tasks may have
// marks that were not read yet. Like the mark of a commit it has no queue.
func unreadID(log string) task.ID { return task.DeriveID("fenfa.unread", log) }

// arrived counts a batch from the broker: what was cancelled before that was looked
// up has come with it, or is found from now on.
func (c *core) arrived(b *band) {
	b.batches++
	if len(c.unread) == 0 {
		return
	}
	for id, u := range c.unread {
		if u.band == b && u.until <= b.batches {
			delete(c.unread, id)
		}
	}
}

// cancelledMark returns the mark of a task that was cancelled before it came here:
// before it was read, or while an earlier owner's worker had it. Nil: it was not.
func (c *core) cancelledMark(a *arrival) *store.Dedup {
	mark := a.known
	if len(c.unread) > 0 {
		if u := c.unread[a.item.ID]; u != nil {
			mark = u.mark
		}
	}
	switch {
	case mark == nil:
	case mark.State == task.StateRunning && mark.CreatedAt == a.item.CreatedAt:
		return mark
	case mark.State == task.StateCancelled && mark.CreatedAt == 0:
		return mark
	}
	return nil
}

// endCancelled ends a task whose mark says that it was cancelled.
func (c *core) endCancelled(now time.Time, q *queue, it *item, mark *store.Dedup) {
	delete(c.unread, it.ID)
	c.endMarked(now, q, it, ending{state: task.StateCancelled, err: mark.Error, at: mark.FinishedAt})
}

// endMarked ends a task that is not in memory, and not in a lane. That of a parked row
// may be known: what the queue's settings were then, they need not be now.
func (c *core) endMarked(now time.Time, q *queue, it *item, end ending) {
	c.tasks[it.ID] = it
	l := it.lane
	if l == nil {
		l = q.laneOf(&it.Task)
		it.lane = l
	}
	l.members++
	if it.origin != inBroker {
		q.store(it)
	}
	c.finish(now, it, end)
	c.woken = append(c.woken, l) // it may have been made for this task only
}
