package brokertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

const queue = "orders"

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func declare(t *testing.T, h *Harness, partitions int) {
	t.Helper()
	declareAs(t, h, broker.Declaration{Queue: queue, Partitions: partitions, DedupeWindow: time.Hour})
}

func declareAs(t *testing.T, h *Harness, d broker.Declaration) {
	t.Helper()
	if err := h.Broker.Declare(within(t), d); err != nil {
		t.Fatalf("declare: %v", err)
	}
}

// maker makes messages whose ids and bodies tell them apart. Every other id is a
// version 7 one, as of now; the rest are derived from names.
type maker struct {
	name string
	n    int
}

func (m *maker) one(partition int) broker.Message {
	m.n++
	id := task.DeriveID(m.name, fmt.Sprint(m.n))
	if m.n%2 == 0 {
		id = task.NewID(time.Now())
	}
	return broker.Message{
		Queue: queue, Partition: partition, ID: id, Fingerprint: uint64(m.n),
		Body: fmt.Appendf(nil, "%s %d", m.name, m.n),
	}
}

func (m *maker) some(n, partition int) []broker.Message {
	batch := make([]broker.Message, n)
	for i := range batch {
		batch[i] = m.one(partition)
	}
	return batch
}

func publish(t *testing.T, h *Harness, batch ...broker.Message) {
	t.Helper()
	if err := h.Broker.Publish(within(t), batch); err != nil {
		t.Fatalf("publish: %v", err)
	}
}

// failures publishes the batch and returns why some of it was not taken.
func failures(t *testing.T, h *Harness, batch ...broker.Message) map[int]error {
	t.Helper()
	err := h.Broker.Publish(within(t), batch)
	if err == nil {
		return nil
	}
	var failed *broker.PublishError
	if !errors.As(err, &failed) {
		t.Fatalf("publish: got %v, want a PublishError", err)
	}
	return failed.Failed
}

func wantFailures(t *testing.T, got map[int]error, want map[int]error) {
	t.Helper()
	for i, err := range got {
		if want[i] == nil {
			t.Errorf("message %d was not taken: %v", i, err)
		} else if !errors.Is(err, want[i]) {
			t.Errorf("message %d: got %v, want %v", i, err, want[i])
		}
	}
	for i, err := range want {
		if got[i] == nil {
			t.Errorf("message %d was taken, want %v", i, err)
		}
	}
}

func openReader(t *testing.T, h *Harness, partition int, epoch uint64) broker.Reader {
	t.Helper()
	r, err := h.Broker.Open(within(t), queue, partition, epoch)
	if err != nil {
		t.Fatalf("open reader: %v", err)
	}
	return r
}

// read returns the next n messages, in as many calls as it takes.
func read(t *testing.T, r broker.Reader, n int) []broker.Delivery {
	t.Helper()
	ctx := within(t)
	var got []broker.Delivery
	for len(got) < n {
		limit := broker.Limit{Tasks: n - len(got)}
		ds, err := r.Next(ctx, limit)
		if err != nil {
			t.Fatalf("read: got %d of %d messages, then %v", len(got), n, err)
		}
		if len(ds) == 0 || len(ds) > limit.Tasks {
			t.Fatalf("read: %d messages, want 1 to %d", len(ds), limit.Tasks)
		}
		got = append(got, ds...)
	}
	for i := range got {
		if got[i].Position == 0 || i > 0 && got[i].Position <= got[i-1].Position {
			t.Fatalf("message %d has position %d behind position %d", i, got[i].Position, got[max(i, 1)-1].Position)
		}
	}
	return got
}

// readNothing says whether the reader has nothing to give, by publishing a last
// message and finding it to be the next one.
func readNothing(t *testing.T, h *Harness, r broker.Reader, partition int) {
	t.Helper()
	last := (&maker{name: t.Name() + " end " + fmt.Sprint(time.Now().UnixNano())}).one(partition)
	publish(t, h, last)
	ds := read(t, r, 1)
	if ds[0].ID != last.ID {
		t.Fatalf("there was another message: %q at %d", ds[0].Body, ds[0].Position)
	}
	settle(t, r, ds)
}

func settle(t *testing.T, r broker.Reader, ds []broker.Delivery) {
	t.Helper()
	if err := r.Settle(within(t), positions(ds)...); err != nil {
		t.Fatalf("settle: %v", err)
	}
}

func positions(ds []broker.Delivery) []broker.Position {
	ps := make([]broker.Position, len(ds))
	for i := range ds {
		ps[i] = ds[i].Position
	}
	return ps
}

func wantMessages(t *testing.T, got []broker.Delivery, want []broker.Message) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d messages, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].ID != want[i].ID || string(got[i].Body) != string(want[i].Body) {
			t.Fatalf("message %d is %s %.60q, want %s %.60q", i, got[i].ID, got[i].Body, want[i].ID, want[i].Body)
		}
	}
}

// wantSame asks for the same messages, of another reader.
func wantSame(t *testing.T, h *Harness, got, want []broker.Delivery) {
	t.Helper()
	stable := h.Broker.Capabilities().StablePositions
	same := slices.EqualFunc(got, want, func(a, b broker.Delivery) bool {
		return (a.Position == b.Position || !stable) && a.ID == b.ID && string(a.Body) == string(b.Body)
	})
	if !same {
		t.Fatalf("%d messages came again as %d others, or in another order", len(want), len(got))
	}
}
