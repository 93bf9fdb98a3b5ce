package partition

import (
	"context"
	"errors"
	"fmt"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// simBroker is a broker in memory: a log for each queue and partition. Publishes
// are durable at once, settles when flush says so.
type simBroker struct {
	w       *world
	repeats bool // it does not know ids: a repeated publish makes a second copy
	logs    map[logName]*simLog
	names   []logName // of logs, in the order of their making
	ids     map[task.ID]uint64
	unsure  bool // the next publish happens, and says that it does not know
}

type logName struct {
	queue string
	part  int
}

type simLog struct {
	entries []*simEntry
	copies  map[task.ID]int
	epoch   uint64
	reader  *simReader
}

type simEntry struct {
	pos     broker.Position
	id      task.ID
	body    []byte
	given   bool // some reader had it
	settled bool
	durable bool // the settle
}

var errUnsure = errors.New("the connection was cut")

func newSimBroker(w *world, repeats bool) *simBroker {
	return &simBroker{w: w, repeats: repeats, logs: map[logName]*simLog{}, ids: map[task.ID]uint64{}}
}

func (b *simBroker) Publish(_ context.Context, batch []broker.Message) error {
	failed := map[int]error{}
	for i, m := range batch {
		l := b.logs[logName{m.Queue, m.Partition}]
		if l == nil {
			failed[i] = broker.ErrNoQueue
			continue
		}
		fingerprint, known := b.ids[m.ID]
		switch {
		case known && fingerprint != m.Fingerprint:
			failed[i] = broker.ErrMismatch
			continue
		case known && !b.repeats:
			failed[i] = broker.ErrDuplicate
			continue
		}
		b.ids[m.ID] = m.Fingerprint
		l.copies[m.ID]++
		l.entries = append(l.entries, &simEntry{pos: broker.Position(len(l.entries) + 1), id: m.ID, body: m.Body})
		b.w.model.logged(m.ID, m.Body)
	}
	if b.unsure {
		b.unsure = false
		return errUnsure
	}
	if len(failed) > 0 {
		return &broker.PublishError{Failed: failed}
	}
	return nil
}

func (b *simBroker) Open(_ context.Context, queue string, part int, epoch uint64) (broker.Reader, error) {
	l := b.logs[logName{queue, part}]
	if l == nil {
		return nil, broker.ErrNoQueue
	}
	if epoch < l.epoch {
		return nil, fmt.Errorf("open queue %s: %w", queue, broker.ErrClosed)
	}
	l.epoch = epoch
	l.reader = &simReader{b: b, l: l}
	return l.reader, nil
}

func (b *simBroker) Declare(_ context.Context, q broker.Declaration) error {
	for part := range q.Partitions {
		name := logName{q.Queue, part}
		if b.logs[name] == nil {
			b.logs[name] = &simLog{copies: map[task.ID]int{}}
			b.names = append(b.names, name)
		}
	}
	return nil
}

func (*simBroker) Remove(context.Context, string) error { return nil }

func (*simBroker) Backlog(context.Context, string) (broker.Backlog, error) {
	return broker.Backlog{}, nil
}

func (b *simBroker) Capabilities() broker.Capabilities {
	return broker.Capabilities{DedupesPublish: !b.repeats}
}

func (*simBroker) Close(context.Context) error { return nil }

// flush makes settles durable.
func (b *simBroker) flush() {
	for _, name := range b.names {
		for _, e := range b.logs[name].entries {
			e.durable = e.settled
		}
	}
}

// crash forgets settles that are not durable, and all readers.
func (b *simBroker) crash() {
	for _, name := range b.names {
		l := b.logs[name]
		l.reader = nil
		for _, e := range l.entries {
			e.settled = e.durable
		}
	}
}

// unsettled is how many messages are still to be settled.
func (b *simBroker) unsettled() (n int) {
	for _, name := range b.names {
		for _, e := range b.logs[name].entries {
			if !e.settled {
				n++
			}
		}
	}
	return n
}

type simReader struct {
	b      *simBroker
	l      *simLog
	at     int // index of the next message
	closed bool
}

// waiting reports whether Next has something to give.
func (r *simReader) waiting() bool {
	for r.at < len(r.l.entries) && r.l.entries[r.at].settled {
		r.at++
	}
	return r.at < len(r.l.entries)
}

// again makes the reader begin with what is not settled, as after a reconnect.
func (r *simReader) again() { r.at = 0 }

func (r *simReader) Next(_ context.Context, limit broker.Limit) ([]broker.Delivery, error) {
	if r.closed || r.l.reader != r {
		return nil, broker.ErrClosed
	}
	if limit.Tasks < 1 {
		return nil, fmt.Errorf("a read of %d tasks", limit.Tasks)
	}
	var out []broker.Delivery
	for size := 0; r.waiting() && len(out) < limit.Tasks && (limit.Bytes == 0 || size < limit.Bytes); r.at++ {
		e := r.l.entries[r.at]
		out = append(out, broker.Delivery{Position: e.pos, Fresh: !e.given && r.l.copies[e.id] == 1 && !r.b.repeats, ID: e.id, Body: e.body})
		e.given = true
		size += len(e.body)
	}
	return out, nil
}

func (r *simReader) Settle(_ context.Context, positions ...broker.Position) error {
	for _, pos := range positions {
		if r.b.w.plan.mutant == mutantLosesSettle && r.b.w.chance(20) {
			continue
		}
		e := r.l.entries[pos-1]
		r.b.w.model.settled(e)
		e.settled = true
	}
	return nil
}

func (r *simReader) Close(context.Context) error {
	r.closed = true
	return nil
}
