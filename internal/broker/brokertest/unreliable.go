package brokertest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

//nolint:gochecknoglobals // A list of tests.
var unreliableTests = []test{
	{"with repeats, everything arrives in order and goes once", throughFaults},
}

// tries bounds the repeats of one call.
const tries = 1000

// insist repeats a call until it succeeds; errors that a repeat cannot heal end
// the test.
func insist(t *testing.T, what string, call func() error) {
	t.Helper()
	for range tries {
		err := call()
		if err == nil {
			return
		}
		if errors.Is(err, broker.ErrFenced) || errors.Is(err, broker.ErrClosed) || errors.Is(err, broker.ErrNoQueue) || t.Context().Err() != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
	}
	t.Errorf("%s: no success in %d calls", what, tries)
}

// insistPublish repeats a publish until each message is taken, or was.
func insistPublish(t *testing.T, h *Harness, batch []broker.Message) {
	t.Helper()
	insist(t, "publish", func() error {
		err := h.Broker.Publish(within(t), batch)
		var failed *broker.PublishError
		if !errors.As(err, &failed) {
			return err
		}
		for _, err := range failed.Failed {
			if !errors.Is(err, broker.ErrDuplicate) {
				return err
			}
		}
		return nil
	})
}

// throughFaults has several publishers, and readers that settle in pieces and are
// replaced now and then.
func throughFaults(t *testing.T, h *Harness) {
	const publishers, calls, partitions = 4, 20, 2
	insist(t, "declare", func() error {
		return h.Broker.Declare(within(t), broker.Declaration{Queue: queue, Partitions: partitions, DedupeWindow: 1 << 42})
	})
	want := make([][partitions][]broker.Message, publishers)
	var wait sync.WaitGroup
	for p := range publishers {
		m := maker{name: fmt.Sprint("publisher ", p)}
		for call := range calls {
			part := call % partitions
			want[p][part] = append(want[p][part], m.some(5, part)...)
		}
		wait.Go(func() {
			for part := range partitions {
				for at := 0; at < len(want[p][part]); at += 5 {
					insistPublish(t, h, want[p][part][at:at+5])
				}
			}
		})
	}
	got := make([][]broker.Delivery, partitions)
	for part := range partitions {
		total := publishers * calls / partitions * 5
		wait.Go(func() { got[part] = drain(t, h, part, total) })
	}
	wait.Wait()
	for part := range partitions {
		for p := range publishers {
			wantMessages(t, only(got[part], want[p][part]), want[p][part])
		}
	}
	if c := h.Broker.Capabilities(); !c.DedupesPublish || c.Repeats {
		return // the last repeats may be there still
	}
	insist(t, "read backlog", func() error {
		b, err := h.Broker.Backlog(within(t), queue)
		if err == nil && b.Tasks != 0 {
			return fmt.Errorf("%d tasks are left", b.Tasks)
		}
		return err
	})
}

// drain reads and settles until it has seen so many different messages, and
// returns them in the order in which they came first.
func drain(t *testing.T, h *Harness, part, total int) (first []broker.Delivery) {
	t.Helper()
	var r broker.Reader
	epoch := uint64(0)
	open := func() {
		epoch++
		insist(t, "open", func() (err error) {
			r, err = h.Broker.Open(within(t), queue, part, epoch)
			return err
		})
	}
	open()
	seen := map[task.ID]bool{}
	replaced := 0
	for len(first) < total && !t.Failed() {
		var ds []broker.Delivery
		insist(t, "read", func() (err error) {
			ds, err = r.Next(within(t), broker.Limit{Tasks: 7})
			return err
		})
		for i := range ds {
			if seen[ds[i].ID] {
				if ds[i].Fresh {
					t.Errorf("message %d at %d is called fresh again", i, ds[i].Position)
				}
				continue
			}
			seen[ds[i].ID] = true
			first = append(first, ds[i])
		}
		if len(first) > replaced+20 && len(first) < total {
			// What was read and not settled comes again.
			replaced = len(first)
			open()
			continue
		}
		insist(t, "settle", func() error { return r.Settle(within(t), positions(ds)...) })
	}
	return first
}
