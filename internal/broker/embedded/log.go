package embedded

import (
	"sync"

	"github.com/fenfa/fenfa/internal/broker"
)

// log is the log of one queue and partition.
type log struct {
	queue  *queue
	part   uint16
	memory *memory

	// Under Broker.order.
	published counts
	touch     int32  // where publication.touched has the log, while one is being written
	epoch     uint64 // highest that a reader was opened with

	settleMu sync.Mutex
	settled  counts // its position is the head

	mu        sync.Mutex
	durable   broker.Position // the first position that is not durable
	tail      tail            // filled while there is a reader
	reader    *reader         // nil: none is open
	handedOut broker.Position // nothing from here on was ever handed out
	reserved  broker.Position // durable: nothing from here on was handed out before a restart
	reserving *mark           // the next one on its way, or nil
}

func newLog(q *queue, part uint16, m *memory) *log {
	return &log{
		queue:     q,
		part:      part,
		memory:    m,
		published: counts{pos: 1},
		settled:   counts{pos: 1},
		durable:   1,
		handedOut: 1,
		reserved:  1,
	}
}

// bounds returns the range of positions in which unsettled, durable messages are.
func (l *log) bounds() (from, to broker.Position) {
	l.settleMu.Lock()
	from = l.settled.pos
	l.settleMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	return from, l.durable
}

// knownSettled reports whether the position is settled for sure; otherwise the
// disk knows.
func (l *log) knownSettled(pos broker.Position) bool {
	l.settleMu.Lock()
	defer l.settleMu.Unlock()
	if pos < l.settled.pos {
		return true
	}
	l.mu.Lock()
	r := l.reader
	l.mu.Unlock()
	return r != nil && r.window.passed(pos)
}

// tailStart is the position of the tail's first message, or the durable end when
// the tail is empty; mu is held.
func (l *log) tailStart() broker.Position {
	return l.durable - broker.Position(l.tail.n)
}

// extend appends what became durable: the items of p that are linked from first.
func (l *log) extend(p *publication, first int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reader == nil {
		for i := first; i >= 0; i = p.items[i].next {
			l.durable = p.items[i].pos + 1
		}
		return
	}
	before := l.tail.bytes
	limit := l.memory.share(before)
	for i := first; i >= 0; i = p.items[i].next {
		it := &p.items[i]
		l.durable = it.pos + 1
		l.tail.push(message{pos: it.pos, id: it.id, body: it.body}, limit)
	}
	l.memory.used.Add(int64(l.tail.bytes - before))
	if l.reader.waiting {
		l.reader.waiting = false
		l.reader.signal()
	}
}

// replace makes r the log's reader, or none when it is nil, and ends the one
// before with the given reason.
func (l *log) replace(r *reader, reason error) {
	l.settleMu.Lock()
	defer l.settleMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := l.reader; old != nil {
		old.end(reason)
	}
	l.reader = r
	l.dropTail()
	if r != nil {
		r.cursor = l.settled.pos
		r.window.base = l.settled.pos
	}
}

// dropTail gives the tail's memory back; mu is held.
func (l *log) dropTail() {
	l.memory.used.Add(-int64(l.tail.bytes))
	l.tail.reset()
}
