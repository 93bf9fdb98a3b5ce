package brokertest

import (
	"context"
	"errors"
	"testing"

	"github.com/fenfa/fenfa/internal/broker"
)

//nolint:gochecknoglobals // A list of tests.
var readerTests = []test{
	{"a new reader ends the one before", oneReader},
	{"a new reader ends one that waits", endsWaiting},
	{"a lower epoch is refused", lowerEpoch},
	{"a reader that waits gets what is published", waits},
	{"the limits of a read are kept", readLimits},
	{"a context that ends ends the wait, and nothing is lost", cancelledRead},
	{"a reader that falls behind gets everything and joins again", fallsBehind},
	{"a closed reader says so, and the next one goes on", closedReader},
}

func oneReader(t *testing.T, h *Harness) {
	declare(t, h, 1)
	m := maker{name: "a"}
	batch := m.some(20, 0)
	publish(t, h, batch...)
	first := openReader(t, h, 0, 3)
	ds := read(t, first, 5)
	second := openReader(t, h, 0, 3)
	if got, err := first.Next(within(t), broker.Limit{Tasks: 1}); !errors.Is(err, broker.ErrFenced) {
		t.Errorf("the first reader got %d messages and %v, want ErrFenced", len(got), err)
	}
	if err := first.Settle(within(t), ds[0].Position); err == nil {
		t.Error("the first reader could settle")
	}
	wantMessages(t, read(t, second, 20), batch)
	third := openReader(t, h, 0, 4)
	if _, err := second.Next(within(t), broker.Limit{Tasks: 1}); !errors.Is(err, broker.ErrFenced) {
		t.Errorf("the second reader got %v, want ErrFenced", err)
	}
	wantMessages(t, read(t, third, 20), batch)
}

func endsWaiting(t *testing.T, h *Harness) {
	declare(t, h, 1)
	first := openReader(t, h, 0, 1)
	ended := make(chan error, 1)
	go func() {
		_, err := first.Next(within(t), broker.Limit{Tasks: 1})
		ended <- err
	}()
	openReader(t, h, 0, 1)
	if err := <-ended; !errors.Is(err, broker.ErrFenced) {
		t.Errorf("the waiting reader got %v, want ErrFenced", err)
	}
}

func lowerEpoch(t *testing.T, h *Harness) {
	declare(t, h, 2)
	r := openReader(t, h, 0, 5)
	if _, err := h.Broker.Open(within(t), queue, 0, 4); !errors.Is(err, broker.ErrFenced) {
		t.Errorf("epoch 4 behind epoch 5: got %v, want ErrFenced", err)
	}
	publish(t, h, (&maker{name: "a"}).one(0))
	read(t, r, 1)
	if _, err := h.Broker.Open(within(t), queue, 1, 1); err != nil {
		t.Errorf("another partition: %v", err)
	}
}

func waits(t *testing.T, h *Harness) {
	declare(t, h, 1)
	r := openReader(t, h, 0, 1)
	m := maker{name: "a"}
	for range 50 {
		got := make(chan []broker.Delivery, 1)
		go func() {
			ds, err := r.Next(within(t), broker.Limit{Tasks: 10})
			if err != nil {
				t.Errorf("read: %v", err)
			}
			got <- ds
		}()
		one := m.one(0)
		publish(t, h, one)
		ds := <-got
		wantMessages(t, ds, []broker.Message{one})
		settle(t, r, ds)
	}
}

func readLimits(t *testing.T, h *Harness) {
	declare(t, h, 1)
	m := maker{name: "a"}
	batch := m.some(40, 0)
	for i := range batch {
		batch[i].Body = make([]byte, 1000)
	}
	publish(t, h, batch...)
	r := openReader(t, h, 0, 1)
	total := 0
	for total < 40 {
		ds, err := r.Next(within(t), broker.Limit{Tasks: 20, Bytes: 2500})
		if err != nil {
			t.Fatal(err)
		}
		// The third message reaches the bound.
		if len(ds) < 1 || len(ds) > 3 {
			t.Fatalf("a read of at most 2500 bytes gave %d messages of 1000", len(ds))
		}
		total += len(ds)
	}
	publish(t, h, m.some(9, 0)...)
	if ds, err := r.Next(within(t), broker.Limit{Tasks: 1, Bytes: 1}); err != nil || len(ds) != 1 {
		t.Fatalf("got %d messages, %v; want the one that reaches the bound", len(ds), err)
	}
}

func cancelledRead(t *testing.T, h *Harness) {
	declare(t, h, 1)
	r := openReader(t, h, 0, 1)
	ctx, cancel := context.WithCancel(within(t))
	ended := make(chan error, 1)
	go func() {
		_, err := r.Next(ctx, broker.Limit{Tasks: 1})
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the wait ended with %v, want context.Canceled", err)
	}
	batch := (&maker{name: "a"}).some(5, 0)
	publish(t, h, batch...)
	if _, err := r.Next(ctx, broker.Limit{Tasks: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("a read with an ended context gave %v", err)
	}
	wantMessages(t, read(t, r, 5), batch)
}

// fallsBehind publishes several times what is kept in memory while the reader
// looks away, and goes on publishing while it catches up.
func fallsBehind(t *testing.T, h *Harness) {
	declare(t, h, 1)
	r := openReader(t, h, 0, 1)
	m := maker{name: "a"}
	round := func(n int) []broker.Message {
		batch := m.some(n, 0)
		for i := range batch {
			batch[i].Body = append(batch[i].Body, make([]byte, 900)...)
		}
		publish(t, h, batch...)
		return batch
	}
	var want []broker.Message
	at := 0
	check := func(ds []broker.Delivery) {
		t.Helper()
		wantMessages(t, ds, want[at:at+len(ds)])
		at += len(ds)
		settle(t, r, ds)
	}
	want = append(want, round(10)...)
	check(read(t, r, 5))
	for range 3 {
		for behind := 0; behind < 4*h.TailBytes; behind += 50 * 900 {
			want = append(want, round(50)...)
		}
		for at < len(want)-20 {
			check(read(t, r, min(37, len(want)-at)))
			if len(want) < 3000 && at%2 == 0 {
				want = append(want, round(5)...)
			}
		}
		check(read(t, r, len(want)-at))
		// Here the reader keeps up.
		for range 5 {
			want = append(want, round(3)...)
			check(read(t, r, 3))
		}
	}
}

func closedReader(t *testing.T, h *Harness) {
	declare(t, h, 1)
	m := maker{name: "a"}
	batch := m.some(5, 0)
	publish(t, h, batch...)
	r := openReader(t, h, 0, 1)
	settle(t, r, read(t, r, 2))
	if err := r.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(within(t), broker.Limit{Tasks: 1}); err == nil {
		t.Error("a closed reader gave messages")
	}
	if err := r.Close(within(t)); err != nil {
		t.Errorf("close again: %v", err)
	}
	wantMessages(t, read(t, openReader(t, h, 0, 1), 3), batch[2:])
}
