package robustness

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/tests/harness"
)

// held is one order that a worker holds while another worker waits.
type held struct {
	client      *fenfa.Client
	first       *harness.Process
	id          fenfa.ID
	gate        string // the file that the first delivery waits for
	submissions []submission
}

// holdOrder starts a node and a worker, submits orders of one key, and waits
// until the worker holds the first of them.
func holdOrder(t *testing.T) *held {
	t.Helper()
	n := harness.NewNode(t, t.TempDir())
	n.Start()
	h := &held{client: n.Dial(), gate: filepath.Join(t.TempDir(), "gate")}
	configure(t, h.client)
	h.first = startWorker(t, n.GRPC, "first")
	for i := 1; i <= 20; i++ {
		o := order{N: i}
		if i == 1 {
			o.Hold = h.gate
		}
		task := fenfa.NewTask(orders, o, fenfa.Key("sku"))
		if _, err := h.client.Submit(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		h.submissions = append(h.submissions, submission{id: task.ID(), key: "sku", n: i, confirmed: true})
	}
	h.id = h.submissions[0].id
	if err := harness.Eventually(t.Context(), "the worker holds the order", func(context.Context) bool {
		return strings.Contains(h.first.Output(), "holding "+h.id.String())
	}); err != nil {
		t.Fatal(err)
	}
	startWorker(t, n.GRPC, "second")
	return h
}

// awaitDone waits until the held order is done, and checks that the second
// worker did it, and that the loss of the first one did not count as a failure.
func (h *held) awaitDone(t *testing.T) {
	t.Helper()
	var status *fenfa.TaskStatus
	if err := harness.Eventually(t.Context(), "the order is done", func(ctx context.Context) bool {
		var err error
		status, err = h.client.Task(ctx, h.id)
		return err == nil && status.State.Final()
	}); err != nil {
		t.Fatal(err)
	}
	if status.State != fenfa.StateDone || status.Worker != "second" {
		t.Errorf("the order is %s by %q, want done by the second worker", status.State, status.Worker)
	}
	if status.Attempts != 0 || status.Deliveries != 2 {
		t.Errorf("the order has %d failed attempts and %d deliveries, want 0 and 2: a lost worker is no failed attempt", status.Attempts, status.Deliveries)
	}
}

func TestAFrozenWorkersLateOutcomeChangesNothing(t *testing.T) {
	h := holdOrder(t)
	h.first.Freeze()
	h.awaitDone(t)

	// The first worker wakes, finishes its handler and answers, too late.
	if err := os.WriteFile(h.gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.first.Thaw()
	if err := harness.Eventually(t.Context(), "the first worker is connected again", func(context.Context) bool {
		return strings.Count(h.first.Output(), "worker connected") == 2
	}); err != nil {
		t.Fatal(err)
	}
	if code := h.first.Stop(); code != 0 {
		t.Errorf("the first worker ended with code %d: it should drain", code)
	}
	check(t, h.client, h.submissions)
}

func TestAKilledWorkersTasksGoToAnother(t *testing.T) {
	h := holdOrder(t)
	h.first.Kill()
	h.awaitDone(t)
	check(t, h.client, h.submissions)
}
