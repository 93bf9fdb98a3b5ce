package brokertest

import (
	"context"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
)

// patience is how long a test waits for what must happen. It decides nothing but
// when to give up.
const patience = 30 * time.Second

// Harness is an empty broker under test.
type Harness struct {
	// Broker is closed by the suite.
	Broker broker.Broker
	// Reopen closes the broker and opens it again over the same data. Nil: not
	// possible, and tests that need it are skipped.
	Reopen func(t *testing.T) broker.Broker
	// TailBytes is about how much the driver keeps in memory for a reader; the
	// tests go well beyond. Default 64 KiB.
	TailBytes int
	// NoPlaces says that Locate tells neither positions nor what is settled.
	NoPlaces bool
}

type test struct {
	name string
	run  func(t *testing.T, h *Harness)
}

// Run runs the whole suite; open returns a new, empty broker for every test.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	t.Helper()
	run(t, open, []group{
		{"order", orderTests},
		{"redelivery", redeliveryTests},
		{"readers", readerTests},
		{"queues", queueTests},
		{"dedupe", dedupeTests},
		{"limits", limitTests},
		{"lookup", lookupTests},
		{"lifetime", lifetimeTests},
	})
}

// RunUnreliable runs the tests that hold for a broker whose calls fail before
// they happen, happen and are reported as failed, repeat what they gave, or take
// long.
func RunUnreliable(t *testing.T, open func(t *testing.T) Harness) {
	t.Helper()
	run(t, open, []group{{"unreliable", unreliableTests}})
}

type group struct {
	name  string
	tests []test
}

func run(t *testing.T, open func(t *testing.T) Harness, groups []group) {
	t.Helper()
	opened := func(t *testing.T) *Harness {
		t.Helper()
		h := open(t)
		if h.TailBytes == 0 {
			h.TailBytes = 64 << 10
		}
		t.Cleanup(func() {
			// The test's own context has ended by now.
			if err := h.Broker.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		return &h
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, test := range g.tests {
				t.Run(test.name, func(t *testing.T) { test.run(t, opened(t)) })
			}
		})
	}
}

// reopen replaces the broker by one over the same data, or skips the test.
func (h *Harness) reopen(t *testing.T) {
	t.Helper()
	if h.Reopen == nil {
		t.Skip("the driver cannot be reopened here")
	}
	h.Broker = h.Reopen(t)
}
