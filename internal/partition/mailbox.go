package partition

import (
	"sync"
	"time"
)

// event is something that happened: it is told to the core in the core's own
// goroutine.
type event func(c *core, now time.Time)

// mailbox passes events of many goroutines to one.
type mailbox struct {
	mu     sync.Mutex
	events []event
	closed bool
	// Wake has a value when there may be something to take.
	wake chan struct{}
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// post adds an event, and reports false if nobody takes events any more.
func (m *mailbox) post(ev event) bool {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return false
	}
	m.events = append(m.events, ev)
	first := len(m.events) == 1
	m.mu.Unlock()
	if first {
		m.poke()
	}
	return true
}

func (m *mailbox) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take returns all events so far; spare is reused for the next ones.
func (m *mailbox) take(spare []event) []event {
	clear(spare)
	m.mu.Lock()
	defer m.mu.Unlock()
	events := m.events
	m.events = spare[:0]
	return events
}

func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.events = nil
}
