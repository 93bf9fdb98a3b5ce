package robustness

import (
	"context"
	"errors"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	fenfa "github.com/fenfa/fenfa"
)

// evidence is what can be told of a run from outside, after everything came to
// rest.
type evidence struct {
	mu     sync.Mutex
	status map[fenfa.ID]*fenfa.TaskStatus // of every order that was submitted; nil: unknown
	logs   map[string][]fenfa.Change      // the op log of each key's tally
}

// collect waits until nothing is left to do and gathers the evidence.
func collect(t *testing.T, client *fenfa.Client, submissions []submission) *evidence {
	t.Helper()
	if err := eventually(t.Context(), "nothing is left to do", func(ctx context.Context) bool {
		for _, name := range []string{orders, notes} {
			info, err := client.DescribeQueue(ctx, name)
			if err != nil || info.Stats.BacklogTasks+info.Stats.Scheduled+info.Stats.Parked+info.Stats.Ready+info.Stats.Running > 0 {
				return false
			}
		}
		return true
	}); err != nil {
		describe(t, client)
		t.Fatal(err)
	}
	e := &evidence{status: map[fenfa.ID]*fenfa.TaskStatus{}, logs: map[string][]fenfa.Change{}}
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(32)
	for _, s := range submissions {
		group.Go(func() error { return e.addStatus(ctx, client, s.id) })
		if s.n == 1 {
			group.Go(func() error { return e.addLog(ctx, client, s.key) })
			group.Go(func() error { return e.addLog(ctx, client, "note-"+s.key) })
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return e
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

// describe logs what the queues hold.
func describe(t *testing.T, client *fenfa.Client) {
	t.Helper()
	for _, name := range []string{orders, notes} {
		info, err := client.DescribeQueue(t.Context(), name)
		t.Logf("queue %s: %+v (%v)", name, info.Stats, err)
	}
}
