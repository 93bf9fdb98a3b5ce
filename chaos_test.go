package fenfa

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestEffectsHappenOnceAndInOrderWhateverBreaks runs submitters and workers over a
// node that cuts submit streams and worker streams, restarts, and lets others
// write records in between. Every task must take effect exactly once, and those
// of one key in the order of their submits.
func TestEffectsHappenOnceAndInOrderWhateverBreaks(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { chaos(t, seed) })
	}
}

func chaos(t *testing.T, seed uint64) {
	t.Helper()
	const keys, each = 8, 60
	n := startFake(t)
	n.unordered("free")
	r := rand.New(rand.NewPCG(seed, 2))
	n.knobs.cutSubmit = cuts(seed, 15)
	n.knobs.cutWork = func() bool { return r.IntN(20) == 0 }
	n.knobs.noTravel = seed%2 == 1
	n.knobs.mostLease = 8
	n.knobs.before = func(task *fakeTask) {
		if r.IntN(20) == 0 {
			n.put(task.wire.GetKey(), "other", strconv.Itoa(r.Int()))
		}
	}
	c := dial(t, n)
	handler := func(ctx context.Context, task *Task) error {
		if err := append1(ctx, task); err != nil {
			return err
		}
		if _, _, err := task.State().GetRaw(ctx, "other"); err != nil {
			return err
		}
		if task.Attempt() == 1 && task.ID()[15]%16 == 0 {
			return errors.New("not at first")
		}
		task.Emit(NewTask("free", task.Payload(), Key("free "+task.Key())))
		return nil
	}
	for i := range 2 {
		w := c.Worker(Concurrency(6), WorkerID(strconv.Itoa(i)))
		w.Handle("q", handler)
		w.Handle("free", func(context.Context, *Task) error { return nil })
		work(t, w)
	}
	var wg sync.WaitGroup
	for k := range keys {
		wg.Go(func() {
			for i := range each {
				if _, err := c.Submit(t.Context(), NewTask("q", fmt.Sprint(i, " "), Key(strconv.Itoa(k)))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	n.await("half of the effects", func() bool { return n.countDone() >= keys*each/2 })
	n.stop()
	n.start()
	wg.Wait()
	n.await("all effects", func() bool { return n.countDone() == 2*keys*each })
	n.with(func() {
		want := ""
		for i := range each {
			want += fmt.Sprint(i, " ")
		}
		for k := range keys {
			if got := string(n.records[fakeKey{strconv.Itoa(k), "text"}].value); got != want {
				t.Errorf("key %d: effects %q", k, strings.Fields(got))
			}
		}
		for _, task := range n.order {
			if task.effects != 1 {
				t.Errorf("task %s took effect %d times", task.wire.GetId(), task.effects)
			}
		}
		t.Logf("%d streams, %d sessions, %d stale outcomes", n.streams, len(n.hellos), n.stale)
	})
}

func (n *fakeNode) countDone() int {
	count := 0
	for _, t := range n.order {
		if t.state == done {
			count++
		}
	}
	return count
}
