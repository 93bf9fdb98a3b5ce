package partition

import (
	"bytes"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// origin says where a task is kept durably until it is finished.
type origin uint8

const (
	inBroker   origin = iota // in the broker's log, at item.pos
	inSchedule               // in a schedule row
	inParked                 // in a parked row
	inDead                   // in a dead letter, on its way back
)

// item is a task in memory.
type item struct {
	task.Task
	body       []byte // stored form; the task's strings share it
	origin     origin
	rank       rank // of the band in whose log it is, and whose part of memory it takes
	pos        broker.Position
	seq        uint64    // of its schedule or parked row
	due        time.Time // of its schedule row
	attempts   int
	deliveries int
	returns    int // in a row, without an attempt between
	tries      []store.Try
	requeues   int  // how often it was a dead letter before
	attempted  bool // an attempt row exists, or is in a batch
	notBefore  time.Time
	size       int
	state      task.State
	lane       *lane
	conflicts  int       // in a row, of transactions that it asked for
	deciding   bool      // without order: its outcome waits for a transaction
	runs       *keyCount // it counts there, while it is in a lease
	from       *lane     // where it waited for its key before it came into its line
	byKey      bool      // its parked row is of a lane that waits for its key
	stop       string    // why it is to be cancelled while it runs; empty: it is not
	expiry     int       // its place in core.expiries, from 1 on; 0: it is not there
}

// itemOverhead is about what an item costs in memory beyond its body.
const itemOverhead = 400

// keptTries bounds the history of a task.
const keptTries = 20

// Arrival is a task on its way from the broker or the store into the core, with
// what the store knows of it.
type arrival struct {
	item    item
	known   *store.Dedup // its mark, if it has one
	corrupt bool         // a row that cannot be read: only its place is known
}

func newItem(t task.Task, body []byte) item {
	return item{Task: t, body: body, size: len(body) + itemOverhead}
}

func (it *item) attach(row *store.Attempt) {
	it.attempts = row.Attempts
	it.deliveries = row.Deliveries
	it.tries = row.Tries
	it.requeues = row.Requeues
	it.notBefore = row.NextAt
	it.attempted = true
}

// again returns the task as it is when it comes back from a schedule row. It shares no
// memory with the page that the task came in.
func (it *item) again(at moment) (*item, error) {
	body := bytes.Clone(it.body)
	t, err := task.Decode(body)
	if err != nil {
		return nil, err
	}
	soon := newItem(t, body)
	soon.due, soon.seq = at.due, at.seq
	if it.attempted {
		soon.attach(it.attemptRow())
	}
	return &soon, nil
}

// moment is the place of the task's schedule row.
func (it *item) moment() moment { return moment{it.due, it.seq} }

func (it *item) attemptRow() *store.Attempt {
	return &store.Attempt{
		ID: it.ID, Attempts: it.attempts, Deliveries: it.deliveries, NextAt: it.notBefore, Tries: it.tries, Requeues: it.requeues,
	}
}

func (it *item) note(try store.Try) {
	if len(it.tries) >= keptTries {
		it.tries = append([]store.Try(nil), it.tries[1:]...)
	}
	it.tries = append(it.tries, try)
}
