package transactions

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/tests/harness"
)

// moments are those at which the node dies in a transaction with two participants
// beside home: instead of sending the message that is named. From the first apply on
// the decision is durable.
var moments = []struct {
	at        string
	committed bool
	what      string
}{
	{"prepare:1", false, "nobody was asked to prepare"},
	{"prepare:2", false, "one was asked to prepare"},
	{"voted:1", false, "one has prepared and home does not know"},
	{"voted:2", false, "all have prepared and home does not know"},
	{"apply:1", true, "the decision is durable and nobody knows"},
	{"apply:2", true, "the decision is durable and one was told"},
	{"applied:1", true, "one has applied and home does not know"},
	{"applied:2", true, "all have applied and home does not know"},
}

// aCommitIsWholeWhereverTheNodeDies kills the node at each step of a caller's
// commit, starts it again, and looks at the accounts before the caller repeats itself.
func aCommitIsWholeWhereverTheNodeDies(t *testing.T, p *place) {
	t.Helper()
	for _, m := range moments {
		t.Run(m.at, func(t *testing.T) {
			b := newBank(t, p, 3)
			b.node.Env = []string{"FENFA_TEST_DIE_AT=" + m.at}
			b.open()
			commit := b.client.State().NewCommit()
			for i, key := range b.accounts {
				amount, version := b.read(t.Context(), key)
				commit.Put(key, "balance", amount+[]int{-2, 1, 1}[i], version)
			}
			answered := make(chan error, 1)
			go func() {
				_, err := commit.Do(t.Context())
				answered <- err
			}()
			awaitDeath(t, b.node, m.what)
			b.node.Env = nil
			b.node.Start()
			// The call may have been repeated by the client itself, on the new process.
			first := <-answered
			want := []int{opening, opening, opening}
			if m.committed || first == nil {
				want = []int{opening - 2, opening + 1, opening + 1}
			}
			b.awaitBalances(want)
			done, err := b.repeat(commit)
			switch {
			case err != nil:
				t.Errorf("%s: the repeat: %v", m.what, err)
			case done.Duplicate != (m.committed || first == nil):
				t.Errorf("%s: the repeat is answered with %+v", m.what, done)
			}
			b.awaitBalances([]int{opening - 2, opening + 1, opening + 1})
			b.awaitCertainty()
		})
	}
}

// aTaskTakesEffectOnceWhereverTheNodeDies kills the node at each step of a
// handler's transaction.
func aTaskTakesEffectOnceWhereverTheNodeDies(t *testing.T, p *place) {
	t.Helper()
	for _, m := range moments {
		t.Run(m.at, func(t *testing.T) {
			b := newBank(t, p, 3)
			b.node.Env = []string{"FENFA_TEST_DIE_AT=" + m.at}
			b.open()
			x := fenfa.NewTask("transfers", transfer{To: b.accounts[1:]}, fenfa.Key(b.accounts[0]))
			if _, err := b.client.Submit(t.Context(), x); err != nil {
				t.Fatal(err)
			}
			b.serve()
			awaitDeath(t, b.node, m.what)
			b.node.Env = nil
			b.node.Start()
			harness.Await(t, "the task has ended", func(ctx context.Context) bool {
				st, err := b.client.Task(ctx, x.ID())
				if err == nil && st.State.Final() && st.State != fenfa.StateDone {
					t.Fatalf("%s: the task is %s: %s", m.what, st.State, st.Error)
				}
				return err == nil && st.State == fenfa.StateDone
			})
			b.awaitBalances([]int{opening - 2, opening + 1, opening + 1})
			b.awaitCertainty()
		})
	}
}

// awaitDeath waits until the node has killed itself.
func awaitDeath(t *testing.T, n *harness.Node, what string) {
	t.Helper()
	select {
	case <-n.Done():
	case <-time.After(time.Minute):
		t.Fatalf("the node lives, though %s", what)
	}
}

// awaitBalances waits until the accounts stand still, and holds what is in them.
func (b *bank) awaitBalances(want []int) {
	b.t.Helper()
	harness.Await(b.t, "the accounts stand still", func(ctx context.Context) bool {
		have, still := b.balances(ctx, b.accounts)
		if still && !slices.Equal(have, want) {
			b.t.Errorf("the accounts have %v, want %v", have, want)
		}
		return still
	})
}

// repeat commits again until it is known what became of it.
func (b *bank) repeat(commit *fenfa.Commit) (done fenfa.Committed, err error) {
	for {
		done, err = commit.Do(b.t.Context())
		if !errors.Is(err, fenfa.ErrUnavailable) || b.t.Context().Err() != nil {
			return done, err
		}
	}
}
