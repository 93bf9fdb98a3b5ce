package brokertest

import (
	"errors"
	"sync"
	"testing"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

//nolint:gochecknoglobals // A list of tests.
var lifetimeTests = []test{
	{"a closed broker refuses everything", closed},
	{"closing ends readers that wait", closeEndsReaders},
	{"closing under load loses nothing that was confirmed", closeUnderLoad},
}

func closed(t *testing.T, h *Harness) {
	declare(t, h, 1)
	one := (&maker{name: "a"}).one(0)
	publish(t, h, one)
	r := openReader(t, h, 0, 1)
	for range 2 {
		if err := h.Broker.Close(within(t)); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	ctx := within(t)
	_, openErr := h.Broker.Open(ctx, queue, 0, 1)
	_, backlogErr := h.Broker.Backlog(ctx, queue)
	_, nextErr := r.Next(ctx, broker.Limit{Tasks: 1})
	for name, err := range map[string]error{
		"publish": h.Broker.Publish(ctx, []broker.Message{one}),
		"open":    openErr,
		"backlog": backlogErr,
		"next":    nextErr,
		"settle":  r.Settle(ctx, 1),
		"declare": h.Broker.Declare(ctx, broker.Declaration{Queue: "b", Partitions: 1}),
		"remove":  h.Broker.Remove(ctx, queue),
	} {
		if !errors.Is(err, broker.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", name, err)
		}
	}
	if l, ok := h.Broker.(broker.Locator); ok {
		if _, _, err := l.Locate(ctx, one.ID); !errors.Is(err, broker.ErrClosed) {
			t.Errorf("locate: %v", err)
		}
	}
}

func closeEndsReaders(t *testing.T, h *Harness) {
	declare(t, h, 4)
	var wait sync.WaitGroup
	for part := range 4 {
		r := openReader(t, h, part, 1)
		wait.Go(func() {
			if _, err := r.Next(within(t), broker.Limit{Tasks: 1}); !errors.Is(err, broker.ErrClosed) {
				t.Errorf("the waiting reader got %v, want ErrClosed", err)
			}
		})
	}
	if err := h.Broker.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	wait.Wait()
}

func closeUnderLoad(t *testing.T, h *Harness) {
	if h.Reopen == nil {
		t.Skip("the driver cannot be reopened here")
	}
	declare(t, h, 1)
	var mu sync.Mutex
	confirmed := map[task.ID]bool{}
	var wait sync.WaitGroup
	started := make(chan struct{}, 4)
	for p := range 4 {
		m := maker{name: string(rune('a' + p))}
		wait.Go(func() {
			for call := 0; ; call++ {
				batch := m.some(3, 0)
				if err := h.Broker.Publish(within(t), batch); err != nil {
					if !errors.Is(err, broker.ErrClosed) {
						t.Errorf("publish: %v", err)
					}
					return
				}
				mu.Lock()
				for i := range batch {
					confirmed[batch[i].ID] = true
				}
				mu.Unlock()
				if call == 5 {
					started <- struct{}{}
				}
			}
		})
	}
	for range 4 {
		<-started
	}
	if err := h.Broker.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	wait.Wait()
	h.reopen(t)
	b, err := h.Broker.Backlog(within(t), queue)
	if err != nil {
		t.Fatal(err)
	}
	if int(b.Tasks) < len(confirmed) {
		t.Errorf("the backlog is %d tasks, %d were confirmed", b.Tasks, len(confirmed))
	}
	for _, d := range read(t, openReader(t, h, 0, 2), int(b.Tasks)) {
		delete(confirmed, d.ID)
	}
	if len(confirmed) > 0 {
		t.Errorf("%d confirmed messages are lost", len(confirmed))
	}
}
