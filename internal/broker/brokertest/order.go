package brokertest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/fenfa/fenfa/internal/broker"
)

//nolint:gochecknoglobals // A list of tests.
var orderTests = []test{
	{"messages are read in the order of their publishes", inOrder},
	{"partitions have logs of their own", partitionsAreApart},
	{"queues have logs of their own", queuesAreApart},
	{"each of many publishers keeps its order", publishersKeepOrder},
	{"messages of one call spread over partitions keep their order", spreadCall},
	{"large and empty bodies come back as they were", bodies},
}

func inOrder(t *testing.T, h *Harness) {
	declare(t, h, 1)
	m := maker{name: "a"}
	var want []broker.Message
	for size := range 40 {
		batch := m.some(size, 0)
		publish(t, h, batch...)
		want = append(want, batch...)
	}
	r := openReader(t, h, 0, 1)
	wantMessages(t, read(t, r, len(want)), want)
	more := m.some(10, 0)
	publish(t, h, more...)
	wantMessages(t, read(t, r, len(more)), more)
}

func partitionsAreApart(t *testing.T, h *Harness) {
	const partitions = 64
	declare(t, h, partitions)
	makers := make([]maker, partitions)
	want := make([][]broker.Message, partitions)
	for round := range 5 {
		for part := range partitions {
			makers[part].name = fmt.Sprint("partition ", part)
			batch := makers[part].some(1+(part+round)%4, part)
			publish(t, h, batch...)
			want[part] = append(want[part], batch...)
		}
	}
	for part := range partitions {
		r := openReader(t, h, part, 1)
		got := read(t, r, len(want[part]))
		wantMessages(t, got, want[part])
		settle(t, r, got)
	}
	for part := range partitions {
		readNothing(t, h, openReader(t, h, part, 2), part)
	}
}

func queuesAreApart(t *testing.T, h *Harness) {
	declare(t, h, 1)
	declareAs(t, h, broker.Declaration{Queue: "orders.eu", Partitions: 1})
	m := maker{name: "a"}
	here, there := m.some(5, 0), m.some(7, 0)
	for i := range there {
		there[i].Queue = "orders.eu"
	}
	publish(t, h, append(append([]broker.Message(nil), here...), there...)...)
	wantMessages(t, read(t, openReader(t, h, 0, 1), 5), here)
	other, err := h.Broker.Open(within(t), "orders.eu", 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	wantMessages(t, read(t, other, 7), there)
}

func publishersKeepOrder(t *testing.T, h *Harness) {
	const publishers, calls, partitions = 8, 15, 3
	declare(t, h, partitions)
	var wait sync.WaitGroup
	want := make([][partitions][]broker.Message, publishers)
	for p := range publishers {
		m := maker{name: fmt.Sprint("publisher ", p)}
		wait.Go(func() {
			for call := range calls {
				part := call % partitions
				batch := m.some(1+call%7, part)
				if err := h.Broker.Publish(within(t), batch); err != nil {
					t.Errorf("publish: %v", err)
					return
				}
				want[p][part] = append(want[p][part], batch...)
			}
		})
	}
	wait.Wait()
	for part := range partitions {
		total := 0
		for p := range publishers {
			total += len(want[p][part])
		}
		first := read(t, openReader(t, h, part, 1), total)
		for p := range publishers {
			wantMessages(t, only(first, want[p][part]), want[p][part])
		}
		// Every reader sees the one order.
		wantSame(t, h, read(t, openReader(t, h, part, 2), total), first)
	}
}

// only returns the deliveries of the given messages.
func only(ds []broker.Delivery, of []broker.Message) []broker.Delivery {
	ids := make(map[[16]byte]bool, len(of))
	for i := range of {
		ids[of[i].ID] = true
	}
	var some []broker.Delivery
	for i := range ds {
		if ids[ds[i].ID] {
			some = append(some, ds[i])
		}
	}
	return some
}

func spreadCall(t *testing.T, h *Harness) {
	const partitions = 5
	declare(t, h, partitions)
	m := maker{name: "spread"}
	var want [partitions][]broker.Message
	for range 4 {
		var batch []broker.Message
		for i := range 50 {
			one := m.one(i * i % partitions)
			batch = append(batch, one)
			want[one.Partition] = append(want[one.Partition], one)
		}
		publish(t, h, batch...)
	}
	for part := range partitions {
		if n := len(want[part]); n > 0 {
			wantMessages(t, read(t, openReader(t, h, part, 1), n), want[part])
		}
	}
}

func bodies(t *testing.T, h *Harness) {
	declare(t, h, 1)
	m := maker{name: "large"}
	batch := m.some(12, 0)
	for i := range batch {
		body := make([]byte, i%4*(1<<20)/3)
		for j := range body {
			body[j] = byte(i + j*j>>3)
		}
		batch[i].Body = body
	}
	publish(t, h, batch[:5]...)
	r := openReader(t, h, 0, 1)
	wantMessages(t, read(t, r, 5), batch[:5])
	publish(t, h, batch[5:]...)
	wantMessages(t, read(t, r, 7), batch[5:])
	wantMessages(t, read(t, openReader(t, h, 0, 1), 12), batch)
}
