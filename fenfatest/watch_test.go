package fenfatest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// put writes a record whatever its version is.
func put(t *testing.T, c *fenfa.Client, key, name string, value any) uint64 {
	t.Helper()
	version, err := c.State().PutAny(t.Context(), key, name, value)
	if err != nil {
		t.Fatal(err)
	}
	return version
}

// TestAWatchGoesOnAcrossRestartsOfTheNode counts up in many records while the node
// restarts, and wants every count once and in order.
func TestAWatchGoesOnAcrossRestartsOfTheNode(t *testing.T) {
	n := fenfatest.Start(t)
	c := n.Client()
	const keys, each = 5, 60
	watcher := c.Watch("counter-", fenfa.WatchOptions{Name: "n"})
	ready, seen := make(chan struct{}), make(chan map[string][]string, 1)
	go func() {
		counts := map[string][]string{}
		total, live := 0, false
		for ev, err := range watcher.Events(t.Context()) {
			if err != nil {
				t.Error(err)
				break
			}
			if ev.Kind == fenfa.WatchLive && !live {
				live = true
				close(ready)
			}
			if ev.Kind == fenfa.WatchChange {
				counts[ev.Change.Key] = append(counts[ev.Change.Key], string(ev.Change.Value))
				total++
			}
			if total >= keys*each {
				break
			}
		}
		seen <- counts
	}()
	<-ready
	for i := range each {
		for k := range keys {
			put(t, c, fmt.Sprintf("counter-%d", k), "n", i)
			put(t, c, fmt.Sprintf("counter-%d", k), "other", i)
		}
		put(t, c, "else", "n", i)
		if i%20 == 10 {
			n.Restart()
		}
	}
	got := <-seen
	want := make([]string, each)
	for i := range want {
		want[i] = fmt.Sprint(i)
	}
	for k := range keys {
		if key := fmt.Sprintf("counter-%d", k); !slices.Equal(got[key], want) {
			t.Errorf("%s was seen as %v", key, got[key])
		}
	}
}

func TestAWatchBeginsWhereItIsTold(t *testing.T) {
	n := fenfatest.Start(t)
	c := n.Client()
	for i := range 10 {
		put(t, c, fmt.Sprintf("k-%d", i%3), "n", i)
	}
	read := func(opts fenfa.WatchOptions) (events []string, at fenfa.Position) {
		w := c.Watch("k-", opts)
		for ev, err := range w.Events(t.Context()) {
			switch {
			case err != nil:
				t.Fatal(err)
			case ev.Kind == fenfa.WatchChange:
				events = append(events, fmt.Sprintf("%s=%s", ev.Change.Key, ev.Change.Value))
			case ev.Kind == fenfa.WatchRecord:
				events = append(events, fmt.Sprintf("%s is %s", ev.Record.Key, ev.Record.Value))
			case ev.Kind == fenfa.WatchLive:
				slices.Sort(events)
				return events, w.Position()
			}
		}
		return nil, fenfa.Position{}
	}
	initial, at := read(fenfa.WatchOptions{Initial: true})
	if want := []string{"k-0 is 9", "k-1 is 7", "k-2 is 8"}; !slices.Equal(initial, want) {
		t.Errorf("the records are %v, want %v", initial, want)
	}
	oldest, _ := read(fenfa.WatchOptions{Oldest: true})
	if len(oldest) != 10 {
		t.Errorf("the changes are %v, want 10", oldest)
	}
	if now, _ := read(fenfa.WatchOptions{}); len(now) != 0 {
		t.Errorf("from now on there are %v", now)
	}
	put(t, c, "k-1", "n", "new")
	parsed, err := fenfa.ParsePosition(at.String())
	if err != nil {
		t.Fatal(err)
	}
	if after, _ := read(fenfa.WatchOptions{From: parsed}); !slices.Equal(after, []string{"k-1=new"}) {
		t.Errorf("after %s there are %v", at, after)
	}
}

func TestAWatchThatCannotGoOnSaysWhy(t *testing.T) {
	n := fenfatest.Start(t)
	c := n.Client()
	for _, opts := range []fenfa.WatchOptions{
		{From: fenfa.PositionAt(map[int]uint64{0: 1})},
		{Initial: true, Oldest: true},
		{Keys: []string{""}},
	} {
		var failed error
		for _, err := range c.Watch("", opts).Events(t.Context()) {
			failed = err
		}
		if fenfa.CodeOf(failed) != fenfa.CodeInvalidArgument {
			t.Errorf("%+v: got %v", opts, failed)
		}
	}
}

func TestAWatchEndsWithItsContext(t *testing.T) {
	n := fenfatest.Start(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	for ev, err := range n.Client().Watch("", fenfa.WatchOptions{}).Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == fenfa.WatchLive {
			cancel(errors.New("enough"))
		}
	}
}
