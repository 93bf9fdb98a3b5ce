package workers

import (
	"context"
	"errors"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/history"
	"github.com/fenfa/fenfa/tests/harness"
)

// evidence is all that can be told of a run from outside, after everything came
// to rest.
type evidence struct {
	submissions []submission
	runs        []history.Delivery // of handlers, from the journals
	unordered   []string           // queues without order
	outages     []outage           // what happened to workers

	mu     sync.Mutex
	status map[fenfa.ID]*fenfa.TaskStatus // of every job; nil: the node does not know it
	logs   map[string][]fenfa.Change      // the op log of each key's tally
	queues map[string]string              // the queue of each key
}

// collect waits until nothing is left to do and gathers the evidence.
func (f *fleet) collect(submissions []submission) *evidence {
	f.t.Helper()
	if err := harness.AwaitIdle(f.t.Context(), f.client, f.queues...); err != nil {
		f.describe()
		f.t.Fatal(err)
	}
	e := &evidence{
		submissions: submissions, runs: f.runs(), unordered: f.loose, outages: f.outages(),
		status: map[fenfa.ID]*fenfa.TaskStatus{}, logs: map[string][]fenfa.Change{}, queues: map[string]string{},
	}
	group, ctx := errgroup.WithContext(f.t.Context())
	group.SetLimit(32)
	for i := range submissions {
		s := &submissions[i]
		group.Go(func() error { return e.addStatus(ctx, f.client, s.id) })
		if _, known := e.queues[s.key]; !known {
			e.queues[s.key] = s.queue
			group.Go(func() error { return e.addLog(ctx, f.client, s.key) })
		}
	}
	if err := group.Wait(); err != nil {
		f.t.Fatal(err)
	}
	return e
}

// describe logs what the queues hold and what the workers do.
func (f *fleet) describe() {
	f.t.Helper()
	for _, name := range f.queues {
		info, err := f.client.DescribeQueue(f.t.Context(), name)
		f.t.Logf("queue %s: %+v (%v)", name, info.Stats, err)
	}
	for _, w := range f.now() {
		f.t.Logf("worker %s: %+v", w.ID, w)
	}
	text, err := f.node.Metrics(f.t.Context())
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "fenfa_dispatch_") {
			f.t.Log(strings.TrimSpace(line))
		}
	}
	if err != nil {
		f.t.Log(err)
	}
}

func (e *evidence) addStatus(ctx context.Context, client *fenfa.Client, id fenfa.ID) error {
	status, err := client.Task(ctx, id)
	if err != nil && !errors.Is(err, fenfa.ErrNotFound) {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status[id] = status
	return nil
}

func (e *evidence) addLog(ctx context.Context, client *fenfa.Client, key string) error {
	var all []fenfa.Change
	for after := uint64(0); ; {
		changes, next, err := client.State().History(ctx, key, tally, after, 1000)
		if err != nil && !errors.Is(err, fenfa.ErrNotFound) {
			return err
		}
		all = append(all, changes...)
		if next == 0 {
			break
		}
		after = next
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.logs[key] = all
	return nil
}
