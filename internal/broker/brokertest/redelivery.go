package brokertest

import (
	"testing"

	"github.com/fenfa/fenfa/internal/broker"
)

//nolint:gochecknoglobals // A list of tests.
var redeliveryTests = []test{
	{"what is not settled comes again to the next reader, in order", comesAgain},
	{"what is not settled comes again after reopening, in order", comesAgainAfterReopen},
	{"what is settled never comes again", settledStaysSettled},
	{"settling again, or what was never read, changes nothing", settleTwice},
	{"order goes on after reopening", orderAfterReopen},
	{"nothing is called fresh twice", freshOnce},
}

// keep settles two thirds of what was read and returns the rest. Where settles are
// cumulative the first part is settled, elsewhere every message but each third.
func keep(t *testing.T, h *Harness, r broker.Reader, ds []broker.Delivery) []broker.Delivery {
	t.Helper()
	var done, kept []broker.Delivery
	for i := range ds {
		settled := i%3 != 0
		if h.Broker.Capabilities().Cumulative {
			settled = i < len(ds)*2/3
		}
		if settled {
			done = append(done, ds[i])
		} else {
			kept = append(kept, ds[i])
		}
	}
	// Two calls, the later positions first where that makes a difference.
	half := len(done) / 2
	settle(t, r, done[half:])
	settle(t, r, done[:half])
	return kept
}

func comesAgain(t *testing.T, h *Harness) {
	declare(t, h, 1)
	m := maker{name: "a"}
	batch := m.some(300, 0)
	publish(t, h, batch...)
	kept := []broker.Delivery(nil)
	for epoch := range uint64(4) {
		r := openReader(t, h, 0, epoch+1)
		n := 300
		if kept != nil {
			n = len(kept)
		}
		ds := read(t, r, n)
		if kept != nil {
			wantSame(t, h, ds, kept)
		}
		kept = keep(t, h, r, ds)
	}
	if len(kept) == 0 || len(kept) > 10 {
		t.Fatalf("%d messages are left", len(kept))
	}
}

func comesAgainAfterReopen(t *testing.T, h *Harness) {
	declare(t, h, 2)
	m := maker{name: "a"}
	publish(t, h, m.some(200, 0)...)
	publish(t, h, m.some(100, 1)...)
	r := openReader(t, h, 0, 1)
	kept := keep(t, h, r, read(t, r, 150))
	rest := read(t, r, 50)
	h.reopen(t)
	r = openReader(t, h, 0, 2)
	wantSame(t, h, read(t, r, len(kept)+50), append(kept, rest...))
	if n := len(read(t, openReader(t, h, 1, 1), 100)); n != 100 {
		t.Fatalf("the other partition has %d messages", n)
	}
}

func settledStaysSettled(t *testing.T, h *Harness) {
	declare(t, h, 1)
	m := maker{name: "a"}
	for epoch := range uint64(3) {
		publish(t, h, m.some(120, 0)...)
		r := openReader(t, h, 0, epoch+1)
		settle(t, r, read(t, r, 120))
		if h.Reopen != nil && epoch > 0 {
			h.reopen(t)
		}
	}
	readNothing(t, h, openReader(t, h, 0, 9), 0)
}

func settleTwice(t *testing.T, h *Harness) {
	declare(t, h, 1)
	m := maker{name: "a"}
	publish(t, h, m.some(20, 0)...)
	r := openReader(t, h, 0, 1)
	ds := read(t, r, 10)
	settle(t, r, ds[:5])
	settle(t, r, ds[:5])
	if err := r.Settle(within(t)); err != nil {
		t.Errorf("settle nothing: %v", err)
	}
	if !h.Broker.Capabilities().Cumulative {
		// Nobody was given this one.
		if err := r.Settle(within(t), ds[9].Position+5); err != nil {
			t.Logf("settle what was not read: %v", err)
		}
	}
	wantTasks(t, h, 15)
	if n := len(read(t, openReader(t, h, 0, 2), 15)); n != 15 {
		t.Errorf("%d messages are left", n)
	}
}

func orderAfterReopen(t *testing.T, h *Harness) {
	declare(t, h, 1)
	m := maker{name: "a"}
	var want []broker.Message
	for range 3 {
		batch := m.some(50, 0)
		publish(t, h, batch...)
		want = append(want, batch...)
		h.reopen(t)
	}
	got := read(t, openReader(t, h, 0, 1), len(want))
	wantMessages(t, got, want)
}

func freshOnce(t *testing.T, h *Harness) {
	declare(t, h, 1)
	m := maker{name: "a"}
	handedOut := map[[16]byte]bool{}
	check := func(ds []broker.Delivery) {
		t.Helper()
		for i := range ds {
			if ds[i].Fresh && handedOut[ds[i].ID] {
				t.Fatalf("message %d at %d is called fresh again", i, ds[i].Position)
			}
			handedOut[ds[i].ID] = true
		}
	}
	for epoch := range uint64(4) {
		publish(t, h, m.some(60, 0)...)
		r := openReader(t, h, 0, epoch+1)
		check(read(t, r, 40))
		if epoch == 1 && h.Reopen != nil {
			h.reopen(t)
			r = openReader(t, h, 0, epoch+1)
		}
		publish(t, h, m.some(10, 0)...)
		ds := read(t, r, 30)
		check(ds)
		settle(t, r, ds[:10])
	}
}
