package brokertest

import (
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

//nolint:gochecknoglobals // A list of tests.
var lookupTests = []test{
	{"a task is found by its id, before and after it is settled", locate},
	{"a task is found after reopening", locateAfterReopen},
}

func locator(t *testing.T, h *Harness) broker.Locator {
	t.Helper()
	l, ok := h.Broker.(broker.Locator)
	if ok != h.Broker.Capabilities().LookupByID {
		t.Fatalf("the capability says %v, the type %v", h.Broker.Capabilities().LookupByID, ok)
	}
	if !ok {
		t.Skip("the driver cannot look up by id")
	}
	return l
}

func wantLocated(t *testing.T, h *Harness, m broker.Message, pos broker.Position, settled bool) {
	t.Helper()
	got, ok, err := locator(t, h).Locate(within(t), m.ID)
	if err != nil || !ok {
		t.Fatalf("locate: %v, %v", ok, err)
	}
	if got.PublishedAt.IsZero() || time.Since(got.PublishedAt).Abs() > 24*time.Hour {
		t.Errorf("published at %v", got.PublishedAt)
	}
	if h.NoPlaces {
		pos, settled = 0, false
	}
	want := broker.Located{
		Queue: m.Queue, Partition: m.Partition, Position: pos, Fingerprint: m.Fingerprint, Settled: settled, PublishedAt: got.PublishedAt,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func locate(t *testing.T, h *Harness) {
	l := locator(t, h)
	declare(t, h, 3)
	m := maker{name: "a"}
	batch := m.some(10, 2)
	publish(t, h, batch...)
	r := openReader(t, h, 2, 1)
	ds := read(t, r, 8)
	settle(t, r, ds[3:5])
	for i := range ds {
		wantLocated(t, h, batch[i], ds[i].Position, i == 3 || i == 4)
	}
	settle(t, r, ds)
	for i := range ds {
		wantLocated(t, h, batch[i], ds[i].Position, true)
	}
	for _, id := range []task.ID{task.NewID(time.Now()), task.NewID(time.Now().Add(-time.Hour)), task.DeriveID("nobody"), {}} {
		if got, ok, err := l.Locate(within(t), id); ok || err != nil {
			t.Errorf("task %s was found: %+v, %v", id, got, err)
		}
	}
}

func locateAfterReopen(t *testing.T, h *Harness) {
	locator(t, h)
	declare(t, h, 1)
	batch := (&maker{name: "a"}).some(6, 0)
	publish(t, h, batch...)
	r := openReader(t, h, 0, 1)
	ds := read(t, r, 6)
	settle(t, r, []broker.Delivery{ds[0], ds[1], ds[4]})
	h.reopen(t)
	for i := range ds {
		wantLocated(t, h, batch[i], ds[i].Position, i < 2 || i == 4)
	}
}
