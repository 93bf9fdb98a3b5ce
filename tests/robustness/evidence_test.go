package robustness

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/history"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/tests/harness"
)

// evidence is what can be told of a run from outside, after everything came to
// rest.
type evidence struct {
	mu     sync.Mutex
	status map[fenfa.ID]*fenfa.TaskStatus // of every order and note; nil: the node does not know it
	logs   map[string][]fenfa.Change      // the op log of each key's tally
	queues map[string]string              // the queue of each key
}

func newEvidence() *evidence {
	return &evidence{status: map[fenfa.ID]*fenfa.TaskStatus{}, logs: map[string][]fenfa.Change{}, queues: map[string]string{}}
}

// noteKey is the key that notes about a key's orders have.
func noteKey(of string) string { return "note-" + of }

// collect waits until nothing is left to do and gathers the evidence. A note whose
// publish the node tries again is in no queue meanwhile, so that idle queues alone
// say nothing of it: one that stays away for harness.Patience is missing.
func collect(t *testing.T, client *fenfa.Client, submissions []submission) *evidence {
	t.Helper()
	for deadline := time.Now().Add(harness.Patience); ; {
		if err := harness.AwaitIdle(t.Context(), client, orders, notes); err != nil {
			describe(t, client)
			t.Fatal(err)
		}
		if e := gather(t, client, submissions); e.notesEnded(submissions) || time.Now().After(deadline) {
			harness.Audit(t, client)
			return e
		}
	}
}

// notesEnded reports whether the note of every order that is done has ended.
func (e *evidence) notesEnded(submissions []submission) bool {
	for i := range submissions {
		id := submissions[i].id
		note := e.state(noteID(id))
		if e.state(id) == fenfa.StateDone && note != fenfa.StateDone && note != fenfa.StateDead {
			return false
		}
	}
	return true
}

// gather asks the node for everything that the checks look at.
func gather(t *testing.T, client *fenfa.Client, submissions []submission) *evidence {
	t.Helper()
	e := newEvidence()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(32)
	for i := range submissions {
		s := &submissions[i]
		group.Go(func() error { return e.addStatus(ctx, client, s.id) })
		group.Go(func() error { return e.addStatus(ctx, client, noteID(s.id)) })
		if s.n == 1 {
			group.Go(func() error { return e.addLog(ctx, client, orders, s.key) })
			group.Go(func() error { return e.addLog(ctx, client, notes, noteKey(s.key)) })
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

func (e *evidence) addLog(ctx context.Context, client *fenfa.Client, queue, key string) error {
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
	e.logs[key], e.queues[key] = all, queue
	return nil
}

// state is where a task is, as the node says.
func (e *evidence) state(id fenfa.ID) fenfa.LifeState {
	if status := e.status[id]; status != nil {
		return status.State
	}
	return fenfa.StateUnknown
}

// finals tells the history checker where a task was found; nothing when it was
// not.
func (e *evidence) finals(id fenfa.ID) []history.Final {
	for s := task.StateQueued; s <= task.StateExpired; s++ {
		if s.String() == string(e.state(id)) {
			return []history.Final{{Task: task.ID(id), State: s}}
		}
	}
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
