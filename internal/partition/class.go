package partition

import (
	"slices"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// class is the tasks of one queue that ask the same of workers, and have the same
// priority where that counts. Its lanes wait for workers by themselves: a class whose
// workers are busy or missing does not delay another one. A lane of a key belongs to
// the class of its first task.
type class struct {
	band     *band
	name     string         // in parked rows
	own      task.Placement // what the tasks ask
	place    task.Placement // together with what the queue asks
	shared   *lane          // tasks without order
	lanes    int            // of keys, that belong to it
	ready    deque[*lane]
	lines    map[uint64]*refusals // by session, of lanes whose own worker is full; others may have room
	refused  int                  // lanes in all of them
	refusals uint64               // number of the latest one
	aside    deque[*lane]         // in the store, to be read when a worker has room
	due      int                  // of them, those that may be read though no worker has room
	starved  bool                 // no worker has room; capacity follows
	since    time.Time            // from when on lanes always waited; zero: none waits
	granted  time.Time            // when a worker took tasks the last time
	serving  bool                 // in band.line, or served right now
	reading  bool                 // in band.readers
}

func (q *queue) newClass(b *band, own task.Placement) *class {
	// The strings of a task share the memory of its body.
	own = task.Placement{Require: task.Selector(strings.Clone(string(own.Require))), Prefer: task.Selector(strings.Clone(string(own.Prefer)))}
	cl := &class{band: b, name: nameOf(b.rank, own), own: own, place: own.With(q.Placement)}
	cl.shared = &lane{q: q, class: cl}
	q.classes = append(q.classes, cl)
	return cl
}

// classOf returns the class that a task belongs to.
func (q *queue) classOf(t *task.Task) *class {
	return q.classFor(q.band(q.turnRank(t)), t.Placement)
}

// classFor returns the class of tasks of a band that ask for a placement.
func (q *queue) classFor(b *band, own task.Placement) *class {
	if own == (task.Placement{}) {
		return b.plain
	}
	if cl := b.special[own]; cl != nil {
		return cl
	}
	if len(q.classes) >= q.sweepAt {
		// Somebody may go through the classes right now.
		q.classes = slices.DeleteFunc(slices.Clone(q.classes), func(cl *class) bool {
			if cl == cl.band.plain || cl.used() {
				return false
			}
			delete(cl.band.special, cl.own)
			return true
		})
		q.sweepAt = max(q.kept, 2*len(q.classes))
	}
	cl := q.newClass(b, own)
	b.special[cl.own] = cl
	return cl
}

// used reports whether anything belongs to the class.
func (cl *class) used() bool {
	return cl.lanes > 0 || cl.shared.members > 0 || cl.shared.tail
}

// behind reports whether the class has had more than its workers take for long.
func (cl *class) behind(now time.Time) bool {
	return (cl.starved || cl.refused > 0) && now.Sub(cl.since) > parkAfter
}

// moves reports whether workers take tasks of the class.
func (cl *class) moves(now time.Time) bool { return now.Sub(cl.granted) <= parkAfter }

// reads reports whether another lane may be read back: one for each lease, so that
// none waits for ever behind newer ones, and what workers with room want.
func (cl *class) reads() bool { return cl.aside.len() > 0 && (cl.due > 0 || !cl.starved) }

// enlist gives a class its turns among the others of its queue.
func (q *queue) enlist(cl *class) {
	if !cl.serving && !cl.starved && cl.ready.len() > 0 {
		cl.serving = true
		cl.band.line.pushBack(cl)
	}
}

// open offers all tasks of a class to workers again.
func (q *queue) open(cl *class) {
	cl.starved = false
	cl.reopen()
	q.enlist(cl)
	q.readBack(cl)
}

// readBack lets lanes of a class that are aside be read.
func (q *queue) readBack(cl *class) {
	if !cl.reading && cl.aside.len() > 0 {
		cl.reading = true
		cl.band.readers.pushBack(cl)
	}
}

// took notes that a worker takes tasks of a class.
func (q *queue) took(now time.Time, cl *class) {
	cl.granted = now
	if cl.due < cl.aside.len() {
		cl.due++
		q.readBack(cl)
	}
}

// capacity says that a session has room again for the queue's tasks with a
// placement; 0: that all that was refused may find room elsewhere now.
func (c *core) capacity(name string, place task.Placement, session uint64) {
	q := c.queues[name]
	if q == nil {
		return
	}
	for _, cl := range q.classes {
		switch {
		case cl.place != place:
		case session == 0 || cl.starved:
			q.open(cl)
		default:
			cl.probe(cl.lines[0])
			cl.probe(cl.lines[session])
			q.enlist(cl)
			q.readBack(cl)
		}
	}
}

// desert offers the lanes of all classes again that wait for a session that has
// ended.
func (c *core) desert(session uint64) {
	for _, q := range c.order {
		for _, cl := range q.classes {
			cl.desert(session)
			q.enlist(cl)
		}
	}
}
