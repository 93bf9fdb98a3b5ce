package webhook

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// lostOwner takes outcomes and never says what became of them.
type lostOwner struct {
	mu       sync.Mutex
	outcomes int
	gone     int // sessions
}

func (*lostOwner) Capacity(int, string, task.Placement, uint64) {}

func (o *lostOwner) Outcomes(partition.WorkerRef, task.LeaseRef, int, []task.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.outcomes++
}

func (o *lostOwner) WorkerGone(uint64, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone++
}

func (o *lostOwner) seen() (outcomes, gone int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.outcomes, o.gone
}

// accepts is a receiver that takes everything.
type accepts struct{}

func (accepts) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r}, nil
}

// plain is a Form without content.
type plain struct{}

func (plain) Request(*task.Leased, time.Duration, []task.Record, bool) ([]byte, error) {
	return nil, nil
}
func (plain) Outcome([]byte) (task.Outcome, error) { return task.Outcome{}, nil }

// Whoever owned the partition is gone before it said what became of an outcome.
func TestATaskWithoutAVerdictDoesNotKeepAWebhookFromLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		workers, err := dispatch.New(dispatch.Config{})
		if err != nil {
			t.Fatal(err)
		}
		owner := &lostOwner{}
		workers.Start(owner)
		h, err := New(Config{Workers: workers, Form: plain{}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			h.Close()
			if err := workers.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		}()
		h.client = &http.Client{Transport: accepts{}}
		q := task.DefaultQueue("q")
		q.Webhook = &task.Webhook{Targets: []task.WebhookTarget{{URL: "https://hook.example/", Weight: 1}}, Concurrency: 4}
		h.Configure(q)
		synctest.Wait()
		w, _, ok := workers.Assign(0, &q, task.Placement{}, "", 1)
		if !ok {
			t.Fatal("the webhook has no room")
		}
		workers.Send(w.Session, &task.Lease{LeaseRef: task.LeaseRef{Epoch: 1, Token: 1}, Queue: "q", Timeout: time.Minute, Tasks: []task.Leased{{Attempt: 1, Delivery: 1}}})
		synctest.Wait()
		q.Webhook = nil
		h.Configure(q)
		synctest.Wait()
		if outcomes, gone := owner.seen(); outcomes != 1 || gone != 0 {
			t.Fatalf("%d outcomes, %d sessions that left: want that it waits for its verdict", outcomes, gone)
		}
		<-time.After(2 * verdictWait)
		synctest.Wait()
		if _, gone := owner.seen(); gone != 1 {
			t.Error("it waits for ever")
		}
	})
}
