package embedded

import (
	"sync/atomic"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// message is a durable message on its way to a reader.
type message struct {
	pos  broker.Position
	id   task.ID
	body []byte
}

// messageOverhead is what a message in memory takes beside its body.
const messageOverhead = 48

func (m *message) memory() int { return messageOverhead + len(m.body) }

// tail is the end of a log in memory: a queue of the last messages, without a gap
// to the log's durable end.
type tail struct {
	buf   []message // circular; its length is a power of two, or 0
	head  int
	n     int
	bytes int
}

// push appends a message and drops the oldest ones until all fit into limit bytes.
func (t *tail) push(m message, limit int) {
	size := m.memory()
	for t.n > 0 && t.bytes+size > limit {
		t.pop()
	}
	if size > limit {
		return
	}
	if t.n == len(t.buf) {
		t.grow()
	}
	t.buf[(t.head+t.n)&(len(t.buf)-1)] = m
	t.n++
	t.bytes += size
}

func (t *tail) grow() {
	const least = 64
	buf := make([]message, max(least, 2*len(t.buf)))
	for i := range t.n {
		buf[i] = t.buf[(t.head+i)&(len(t.buf)-1)]
	}
	t.buf, t.head = buf, 0
}

// front returns the oldest message; there must be one.
func (t *tail) front() *message { return &t.buf[t.head] }

// pop drops the oldest message.
func (t *tail) pop() {
	m := &t.buf[t.head]
	t.bytes -= m.memory()
	*m = message{}
	t.head = (t.head + 1) & (len(t.buf) - 1)
	t.n--
}

// reset drops everything.
func (t *tail) reset() { *t = tail{} }

// memory bounds what all tails take together, in bytes.
type memory struct {
	each int // of one tail
	all  int
	used atomic.Int64
}

// share is the bound of a tail that takes has bytes now.
func (m *memory) share(has int) int {
	return min(m.each, m.all-int(m.used.Load())+has)
}
