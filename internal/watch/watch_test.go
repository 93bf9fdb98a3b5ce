package watch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

func TestChangesComeInOrderOfTheirPartition(t *testing.T) {
	r := newRig(t, Config{})
	r.write(0, change{"a", "n", "before"})
	got := read(t, r.open(Request{})).answered()
	for i := range 10 {
		r.write(0, change{"a", "n", fmt.Sprint(i)}, change{"b", "n", fmt.Sprint(i)})
	}
	got.answered()
	var want []string
	for _, row := range r.log[0][1:] {
		want = append(want, text(row))
	}
	equal(t, got.changes, want)
}

func TestAWatchSeesOnlyWhatItAsksFor(t *testing.T) {
	for _, c := range []struct {
		name string
		req  Request
		want []string
	}{
		{"all", Request{}, []string{"1:sku-1/stock=a", "2:sku-2/price=b", "3:user/stock=c"}},
		{"prefix", Request{Prefix: "sku-"}, []string{"1:sku-1/stock=a", "2:sku-2/price=b"}},
		{"name", Request{Name: "stock"}, []string{"1:sku-1/stock=a", "3:user/stock=c"}},
		{"prefix and name", Request{Prefix: "sku", Name: "price"}, []string{"2:sku-2/price=b"}},
		{"keys", Request{Keys: []string{"user", "sku", "sku-1"}}, []string{"1:sku-1/stock=a", "3:user/stock=c"}},
		{"other partition", Request{Prefix: "nobody"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{Partitions: 1})
			fresh := c.req
			fresh.Initial = true
			live := read(t, r.open(c.req)).answered()
			r.write(0, change{"sku-1", "stock", "a"}, change{"sku-2", "price", "b"}, change{"user", "stock", "c"}, change{"fenfa.activity/2026-05-01", "stock", "d"})
			equal(t, live.answered().changes, c.want)
			var records []string
			for _, row := range c.want {
				seq, rest, _ := strings.Cut(row, ":")
				records = append(records, rest+"@"+seq)
			}
			initial := read(t, r.open(fresh)).answered()
			equal(t, initial.records, records)
			equal(t, initial.changes, nil)
		})
	}
}

func TestAWatchGoesOnWhereAnotherStopped(t *testing.T) {
	r := newRig(t, Config{Partitions: 1, RingRows: 4})
	for i := range 50 {
		r.write(0, change{"k", "n", fmt.Sprint(i)})
	}
	var got []string
	from := []Position{{Part: 0}}
	for len(got) < 50 {
		w := r.open(Request{From: from})
		part := read(t, w).until("a few changes have come", func() bool { return w.cursors[0].Seq > from[0].Seq })
		got, from = append(got, part.changes...), part.from()
		w.Close()
	}
	want := make([]string, 50)
	for i := range want {
		want[i] = fmt.Sprintf("%d:k/n=%d", i+1, i)
	}
	equal(t, got, want)
	equal(t, read(t, r.open(Request{Oldest: true})).answered().changes, want)
}

func TestTheFirstMessageTellsWhereTheWatchBegins(t *testing.T) {
	r := newRig(t, Config{})
	r.write(1, change{"k", "n", "1"}, change{"k", "n", "2"})
	m, err := r.open(Request{Progress: time.Hour}).Next(t.Context())
	if want := []Position{{Part: 0}, {Part: 1, Seq: 2}}; err != nil || m.Kind != KindProgress || !slices.Equal(m.Positions, want) || !m.Live {
		t.Fatalf("got %+v, %v; want the positions %v, live", m, err, want)
	}
}

func TestRecordsAsTheyAreAndTheirChangesAreTheState(t *testing.T) {
	r := newRig(t, Config{Partitions: 1})
	for i := range 3 * pageRows {
		r.write(0, change{fmt.Sprintf("k%05d", i), "n", "old"})
	}
	w := r.open(Request{Initial: true})
	got := read(t, w).until("the first page was read", func() bool { return w.cursors[0].Key != "" })
	// What was read already, what was not, and what is new.
	r.write(0, change{"k00000", "n", "new"}, change{"k01535", "n", "new"}, change{"k00001", "n", ""}, change{"k01534", "n", ""}, change{"k1", "n", "new"})
	resumed := read(t, r.open(Request{From: got.from()}))
	resumed.until("it is live", func() bool { return resumed.live })
	if n := len(got.records) + len(resumed.records); n != 3*pageRows-2 {
		t.Errorf("%d records were handed out as they are, want all but the 2 that were changed before they were read", n)
	}
	equal(t, resumed.changes, []string{"1537:k00000/n=new", "1538:k01535/n=new", "1539:k00001/n=", "1540:k01534/n=", "1541:k1/n=new"})
	got.until("it is live", func() bool { return got.live })
	equal(t, got.changes, resumed.changes)
	if slices.Contains(got.records, "k01535/n=new@1538") {
		t.Error("a record came both as it is and as a change")
	}
}

func TestAChangeThatIsNotDurableIsNotHandedOut(t *testing.T) {
	r := newRig(t, Config{Partitions: 1})
	got := read(t, r.open(Request{})).answered()
	r.commit(0, change{"k", "n", "unknown"}) // Its owner never hears what became of it.
	r.hub.Tail(0).Lost()
	equal(t, got.changes, nil)
	r.claim(0) // The next owner finds it.
	r.write(0, change{"k", "n", "after"})
	equal(t, got.answered().changes, []string{"1:k/n=unknown", "2:k/n=after"})
}

func TestASlowWatchIsToldOfItsLagAndHoldsNoMemory(t *testing.T) {
	r := newRig(t, Config{Partitions: 1, RingRows: 64, RingBytes: 1000})
	w := r.open(Request{})
	slow := read(t, w).answered()
	for i := range 2000 {
		r.write(0, change{"k", "n", fmt.Sprint(i)})
		if tail := r.hub.Tail(0); tail.next-tail.first > 64 || tail.size > 1000 {
			t.Fatalf("the ring holds %d rows and %d bytes", tail.next-tail.first, tail.size)
		}
	}
	slow.answered()
	if len(slow.changes) != 2000 || slow.changes[0] != "1:k/n=0" || slow.changes[1999] != "2000:k/n=1999" {
		t.Errorf("the watch has %d changes, want all 2000", len(slow.changes))
	}
	if len(slow.lags) == 0 || slow.lags[0].Entries < 64 || slow.lags[0].Age <= 0 {
		t.Errorf("lags %+v: want how many entries and how far in time", slow.lags)
	}
}

func TestARingThatNobodyReadsIsFreed(t *testing.T) {
	r := newRig(t, Config{Partitions: 1})
	first, second := r.open(Request{}), r.open(Request{})
	r.write(0, change{"k", "n", "1"})
	first.Close()
	if r.hub.Tail(0).ring == nil {
		t.Error("the ring went while somebody watched")
	}
	second.Close()
	if r.hub.Tail(0).ring != nil {
		t.Error("the ring stays although nobody watches")
	}
	r.write(0, change{"k", "n", "2"})
	got := read(t, r.open(Request{})).answered()
	r.write(0, change{"k", "n", "3"})
	equal(t, got.answered().changes, []string{"3:k/n=3"})
}

// remove takes rows out of the op log.
func (r *rig) remove(part int, seqs ...uint64) {
	r.tb.Helper()
	b := store.Batch{Part: part, Prev: r.fences[part], Next: r.fences[part]}
	b.Next.HLC++
	for _, seq := range seqs {
		b.Deletes = append(b.Deletes, &store.OpLog{Seq: seq})
	}
	if err := r.store.Commit(r.tb.Context(), []store.Batch{b}); err != nil {
		r.tb.Fatal(err)
	}
	r.fences[part] = b.Next
}

func TestATrimmedLogSaysWhereItBegins(t *testing.T) {
	r := newRig(t, Config{Partitions: 1})
	for i := range 5 {
		r.write(0, change{"k", "n", fmt.Sprint(i)})
	}
	r.remove(0, 1, 2)
	err := r.refused(Request{From: []Position{{Part: 0, Seq: 1}}})
	trimmed, ok := errors.AsType[*TrimmedError](err)
	if !ok || *trimmed != (TrimmedError{Part: 0, Wanted: 2, Oldest: 3}) || codeOf(err) != task.CodeFailedPrecondition {
		t.Errorf("got %v", err)
	}
	want := []string{"3:k/n=2", "4:k/n=3", "5:k/n=4"}
	equal(t, read(t, r.open(Request{From: []Position{{Part: 0, Seq: 2}}})).answered().changes, want)
	equal(t, read(t, r.open(Request{Oldest: true})).answered().changes, want)
}

func TestAMissingRowIsNotPassedOver(t *testing.T) {
	for _, gone := range []uint64{3, 5} {
		r := newRig(t, Config{Partitions: 1})
		for i := range 5 {
			r.write(0, change{"k", "n", fmt.Sprint(i)})
		}
		r.remove(0, gone)
		err := r.refused(Request{Oldest: true})
		if codeOf(err) != task.CodeInternal || !strings.Contains(err.Error(), fmt.Sprintf("row %d of the op log of partition 0 is missing", gone)) {
			t.Errorf("got %v", err)
		}
	}
}

func TestAWrongRequestIsRefused(t *testing.T) {
	r := newRig(t, Config{})
	r.write(0, change{"k", "n", "1"})
	long := strings.Repeat("k", task.MaxKey+1)
	for _, c := range []struct {
		name  string
		req   Request
		code  task.Code
		field string
	}{
		{"prefix and keys", Request{Prefix: "a", Keys: []string{"b"}}, task.CodeInvalidArgument, "keys"},
		{"many keys", Request{Keys: make([]string, MaxKeys+1)}, task.CodeInvalidArgument, "keys"},
		{"empty key", Request{Keys: []string{""}}, task.CodeInvalidArgument, "keys"},
		{"long key", Request{Keys: []string{long}}, task.CodeInvalidArgument, "keys"},
		{"long prefix", Request{Prefix: long}, task.CodeInvalidArgument, "key_prefix"},
		{"long name", Request{Name: strings.Repeat("n", task.MaxRecordName+1)}, task.CodeInvalidArgument, "name"},
		{"partition", Request{Parts: []int{2}}, task.CodeInvalidArgument, "partitions"},
		{"negative partition", Request{Parts: []int{-1}}, task.CodeInvalidArgument, "partitions"},
		{"progress", Request{Progress: time.Millisecond}, task.CodeInvalidArgument, "progress"},
		{"two begins", Request{Initial: true, Oldest: true}, task.CodeInvalidArgument, "from"},
		{"half a position", Request{From: []Position{{Part: 0}}}, task.CodeInvalidArgument, "from"},
		{"a partition twice", Request{Parts: []int{0}, From: []Position{{Part: 0}, {Part: 0}}}, task.CodeInvalidArgument, "from"},
		{"future", Request{Parts: []int{0}, From: []Position{{Part: 0, Seq: 2}}}, task.CodeFailedPrecondition, "from"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := r.refused(c.req)
			e, ok := errors.AsType[*task.Error](err)
			if !ok || e.Code != c.code || e.Field != c.field {
				t.Errorf("got %v", err)
			}
		})
	}
	if n, _ := r.hub.totals(); n != 0 {
		t.Errorf("%d watches are left of what was refused", n)
	}
}

func TestTooManyWatchesAreRefusedUntilOneEnds(t *testing.T) {
	r := newRig(t, Config{Watches: 2})
	r.open(Request{})
	second := r.open(Request{})
	err := r.refused(Request{})
	if e, ok := errors.AsType[*task.Error](err); !ok || e.Code != task.CodeResourceExhausted || e.RetryAfter == 0 {
		t.Fatalf("got %v", err)
	}
	second.Close()
	r.open(Request{})
}

func TestAPartitionWithoutOwnerRefusesAndAnswersNoPing(t *testing.T) {
	r := newRig(t, Config{Partitions: 1})
	w := r.open(Request{Progress: time.Hour})
	got := read(t, w).answered()
	r.hub.Tail(0).Lost()
	if err := r.refused(Request{}); codeOf(err) != task.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	w.Ping(7)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if m, err := w.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %+v, %v; want nothing while others may write", m, err)
	}
	r.claim(0)
	r.write(0, change{"k", "n", "1"})
	got.until("the ping is answered", func() bool { return slices.Contains(got.pings, 7) })
	equal(t, got.changes, []string{"1:k/n=1"})
}

func TestALaterPingAnswersForThoseThatWereDropped(t *testing.T) {
	r := newRig(t, Config{Partitions: 1})
	w := r.open(Request{})
	for id := range uint64(3 * mostPings) {
		w.Ping(id + 1)
	}
	got := read(t, w)
	got.until("the last ping is answered", func() bool { return slices.Contains(got.pings, 3*mostPings) })
	if len(got.pings) != mostPings {
		t.Errorf("%d pings were kept, want %d", len(got.pings), mostPings)
	}
}

func TestTheEndOfTheHubEndsItsWatches(t *testing.T) {
	r := newRig(t, Config{})
	got := read(t, r.open(Request{Progress: time.Hour})).answered()
	ended := make(chan error)
	go func() {
		_, err := got.w.Next(t.Context())
		ended <- err
	}()
	r.hub.Close()
	if err := <-ended; codeOf(err) != task.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	if err := r.refused(Request{}); codeOf(err) != task.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestProgressIsToldAtItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{Partitions: 1})
		w := r.open(Request{Prefix: "nobody", Progress: 3 * time.Second})
		if _, err := w.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			start := time.Now()
			r.write(0, change{"k", "n", fmt.Sprint(i)})
			m, err := w.Next(t.Context())
			if err != nil || m.Kind != KindProgress || m.Positions[0].Seq != uint64(i+1) || time.Since(start) != 3*time.Second {
				t.Fatalf("after %v: got %+v, %v", time.Since(start), m, err)
			}
		}
	})
}
