package fenfatest_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// keyCounts counts the handlers that run, by key.
type keyCounts struct {
	mu      sync.Mutex
	running map[string]int
	most    map[string]int
	ended   map[string]int
}

func (c *keyCounts) begin(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running[key]++
	c.most[key] = max(c.most[key], c.running[key])
}

func (c *keyCounts) end(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running[key]--
	c.ended[key]++
}

func (c *keyCounts) of(key string) (running, most, ended int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running[key], c.most[key], c.ended[key]
}

func TestNoMoreTasksOfAKeyRunThanMayOnAllWorkersTogether(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "imports", Order: fenfa.OrderNone, KeyConcurrency: 2}))
	c := n.Client()
	counts := &keyCounts{running: map[string]int{}, most: map[string]int{}, ended: map[string]int{}}
	open := make(chan struct{})
	for i := range 2 {
		w := c.Worker(fenfa.WorkerID(fmt.Sprint("w", i)), fenfa.Concurrency(20))
		w.Handle("imports", func(ctx context.Context, task *fenfa.Task) error {
			counts.begin(task.Key())
			defer counts.end(task.Key())
			if task.Key() != "hot" {
				return nil
			}
			select {
			case <-open:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		n.Run(w)
	}
	hot := make([]*fenfa.Task, 500)
	for i := range hot {
		hot[i] = fenfa.NewTask("imports", i, fenfa.Key("hot"))
	}
	results, err := c.SubmitBatch(t.Context(), hot)
	if err != nil {
		t.Fatal(err)
	}
	submitKeys(t, c, "imports", 200)
	eventually(t, "all others are done", func() bool {
		for i := range 200 {
			if _, _, ended := counts.of(fmt.Sprint("key-", i)); ended != 1 {
				return false
			}
		}
		return true
	})
	eventually(t, "two of the hot key run", func() bool { running, _, _ := counts.of("hot"); return running == 2 })
	eventually(t, "the last one says what it waits for", func() bool {
		x, err := c.Explain(t.Context(), results[499].ID)
		return err == nil && x.Reason == fenfa.ReasonKeyConcurrency && strings.Contains(x.Text, `its key "hot" has 2 of 2 tasks running`)
	})
	if gone, err := c.Cancel(t.Context(), results[498].ID, "no need"); err != nil || gone.State != fenfa.StateCancelled {
		t.Errorf("cancelled %+v, %v", gone, err)
	}
	if _, _, err := c.ConfigureQueue(t.Context(), fenfa.Queue{Name: "ordered", KeyConcurrency: 2}); fenfa.CodeOf(err) != fenfa.CodeInvalidArgument {
		t.Errorf("a limit beside an order: %v", err)
	}
	if _, _, err := c.ConfigureQueue(t.Context(), fenfa.Queue{Name: "imports", KeyConcurrency: 5}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "five of the hot key run", func() bool { running, _, _ := counts.of("hot"); return running == 5 })
	close(open)
	eventually(t, "all of the hot key are done", func() bool { _, _, ended := counts.of("hot"); return ended == 499 })
	if _, most, _ := counts.of("hot"); most != 5 {
		t.Errorf("%d of the key ran at a time, want at most 5", most)
	}
}
