package brokertest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/fenfa/fenfa/internal/broker"
)

//nolint:gochecknoglobals // A list of tests.
var dedupeTests = []test{
	{"a second publish is a duplicate, or a mismatch", duplicates},
	{"a settled task is still known", knownAfterSettle},
	{"known tasks are known after reopening", knownAfterReopen},
	{"the same id twice in one call is taken once", twiceInOneCall},
	{"of concurrent publishes of one id one is taken", concurrentDuplicates},
	{"an id is known across queues and partitions", knownEverywhere},
	{"a publish that was given up may be repeated", givenUp},
}

func needDedupe(t *testing.T, h *Harness) {
	t.Helper()
	if !h.Broker.Capabilities().DedupesPublish {
		t.Skip("the driver does not know what was published")
	}
}

func duplicates(t *testing.T, h *Harness) {
	needDedupe(t, h)
	declare(t, h, 1)
	m := maker{name: "a"}
	batch := m.some(10, 0)
	publish(t, h, batch[:4]...)
	other := batch[2]
	other.Fingerprint++
	again := []broker.Message{batch[0], batch[4], batch[1], other, batch[5], batch[3]}
	wantFailures(t, failures(t, h, again...), map[int]error{
		0: broker.ErrDuplicate, 2: broker.ErrDuplicate, 3: broker.ErrMismatch, 5: broker.ErrDuplicate,
	})
	publish(t, h, batch[6:]...)
	wantMessages(t, read(t, openReader(t, h, 0, 1), 10), batch)
}

func knownAfterSettle(t *testing.T, h *Harness) {
	needDedupe(t, h)
	declare(t, h, 1)
	batch := (&maker{name: "a"}).some(6, 0)
	publish(t, h, batch...)
	r := openReader(t, h, 0, 1)
	settle(t, r, read(t, r, 6))
	other := batch[3]
	other.Fingerprint += 9
	wantFailures(t, failures(t, h, batch[0], other, batch[5]), map[int]error{
		0: broker.ErrDuplicate, 1: broker.ErrMismatch, 2: broker.ErrDuplicate,
	})
	readNothing(t, h, r, 0)
}

func knownAfterReopen(t *testing.T, h *Harness) {
	needDedupe(t, h)
	declare(t, h, 1)
	m := maker{name: "a"}
	batch := m.some(20, 0)
	publish(t, h, batch...)
	r := openReader(t, h, 0, 1)
	settle(t, r, read(t, r, 10))
	h.reopen(t)
	want := map[int]error{}
	for i := range batch {
		want[i] = broker.ErrDuplicate
	}
	fresh := m.some(5, 0)
	wantFailures(t, failures(t, h, append(append([]broker.Message(nil), batch...), fresh...)...), want)
	wantMessages(t, read(t, openReader(t, h, 0, 1), 15), append(append([]broker.Message(nil), batch[10:]...), fresh...))
}

func twiceInOneCall(t *testing.T, h *Harness) {
	needDedupe(t, h)
	declare(t, h, 2)
	m := maker{name: "a"}
	a, b := m.one(0), m.one(0)
	other := a
	other.Fingerprint++
	elsewhere := b
	elsewhere.Partition = 1
	wantFailures(t, failures(t, h, a, b, a, other, elsewhere), map[int]error{
		2: broker.ErrDuplicate, 3: broker.ErrMismatch, 4: broker.ErrDuplicate,
	})
	wantMessages(t, read(t, openReader(t, h, 0, 1), 2), []broker.Message{a, b})
	readNothing(t, h, openReader(t, h, 1, 1), 1)
}

func concurrentDuplicates(t *testing.T, h *Harness) {
	needDedupe(t, h)
	const publishers, ids = 8, 120
	declare(t, h, 4)
	m := maker{name: "a"}
	batch := make([]broker.Message, ids)
	for i := range batch {
		batch[i] = m.one(i % 4)
	}
	var mu sync.Mutex
	taken := make([]int, ids)
	var wait sync.WaitGroup
	for p := range publishers {
		wait.Go(func() {
			// Each starts elsewhere, so that calls overlap in different ways.
			for at := 0; at < ids; at += 30 {
				var call []broker.Message
				var index []int
				for i := range 30 {
					n := (at + i + p*7) % ids
					call = append(call, batch[n])
					index = append(index, n)
				}
				err := h.Broker.Publish(within(t), call)
				failed := &broker.PublishError{}
				if err != nil && !errors.As(err, &failed) {
					t.Errorf("publish: %v", err)
					return
				}
				mu.Lock()
				for i, n := range index {
					if failed.Failed[i] == nil {
						taken[n]++
					} else if !errors.Is(failed.Failed[i], broker.ErrDuplicate) {
						t.Errorf("message %d: %v", n, failed.Failed[i])
					}
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	for n, times := range taken {
		if times != 1 {
			t.Errorf("message %d was taken %d times", n, times)
		}
	}
	for part := range 4 {
		r := openReader(t, h, part, 1)
		settle(t, r, read(t, r, ids/4))
		readNothing(t, h, r, part)
	}
}

func knownEverywhere(t *testing.T, h *Harness) {
	needDedupe(t, h)
	declare(t, h, 2)
	declareAs(t, h, broker.Declaration{Queue: "other", Partitions: 1, DedupeWindow: 1 << 40})
	batch := (&maker{name: "a"}).some(2, 0)
	publish(t, h, batch...)
	batch[0].Partition = 1
	batch[1].Queue = "other"
	wantFailures(t, failures(t, h, batch...), map[int]error{0: broker.ErrDuplicate, 1: broker.ErrDuplicate})
}

func givenUp(t *testing.T, h *Harness) {
	needDedupe(t, h)
	declare(t, h, 1)
	m := maker{name: "a"}
	batch := m.some(40, 0)
	for i := range batch {
		ctx, cancel := context.WithCancel(within(t))
		cancel()
		err := h.Broker.Publish(ctx, batch[i:i+1])
		again := failures(t, h, batch[i])
		// Without an answer the first publish may have happened or not; the second
		// one's answer is that of a repeat or of a first publish.
		if again[0] != nil && !errors.Is(again[0], broker.ErrDuplicate) {
			t.Fatalf("repeat after %v: %v", err, again[0])
		}
	}
	wantMessages(t, read(t, openReader(t, h, 0, 1), 40), batch)
}
