package partition

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/storefake"
	"github.com/fenfa/fenfa/internal/task"
)

func TestHistoryListsTheChangesOfARecord(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		t := r.t
		for i := range 5 {
			r.put("k", "a", fmt.Sprint(i))
			r.put("k", "b", "x")
			r.put("other", "a", "x")
		}
		if _, err := r.e.PutRecord(t.Context(), task.Write{Key: "k", Name: "a", Delete: true}, true); err != nil {
			t.Fatal(err)
		}
		var got []string
		for q := (HistoryQuery{Key: "k", Name: "a", Limit: 2}); len(got) < 10; {
			page, err := r.e.History(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range page.Changes {
				got = append(got, fmt.Sprint(c.Op, c.Before, "-", c.After, string(c.Value)))
				if c.Key != "k" || c.Name != "a" || c.Node != "node" || c.At.IsZero() || bytes.Equal(c.Hash[:], make([]byte, 32)) {
					t.Errorf("change %+v", c)
				}
			}
			if q.After = page.After; q.After == 0 {
				break
			}
		}
		if want := "[put0-10 put1-41 put4-72 put7-103 put10-134 delete13-0]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
		if all, _ := r.e.History(t.Context(), HistoryQuery{Key: "k", Limit: 100}); len(all.Changes) != 11 {
			t.Errorf("%d changes of the key, want 11", len(all.Changes))
		}
		for words, q := range map[string]HistoryQuery{
			"key":        {Limit: 1},
			"limit":      {Key: "k"},
			"to end":     {Key: "k", Limit: 1, Since: time.Unix(2, 0), Until: time.Unix(1, 0)},
			"after_seq":  {Key: "k", Limit: 1, Newest: true, After: 1},
			"page_token": {Key: "k", Limit: 1, Page: "w1"},
		} {
			_, err := r.e.History(t.Context(), q)
			wantCode(t, err, task.CodeInvalidArgument, words)
		}
		for _, token := range []string{"x", "h", "h1", "h0.1", "w", "w1.2", "h1.2.x", "h-1.2"} {
			_, err := r.e.History(t.Context(), HistoryQuery{Key: "k", Limit: 1, Newest: true, Page: token})
			wantCode(t, err, task.CodeInvalidArgument, "is not one that this API gave")
		}
	})
}

// chronicle is one partition that a ledger has written, and all that it wrote.
type chronicle struct {
	t     *testing.T
	store *storefake.Store
	led   *ledger.Ledger
	head  store.Fence
	now   time.Time
	log   []*store.OpLog
	reads int // rows
}

func newChronicle(t *testing.T) *chronicle {
	t.Helper()
	c := &chronicle{t: t, store: storefake.New(storefake.Config{AutoSync: true}), now: time.Unix(1_700_000_000, 0)}
	fence, err := c.store.Claim(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	c.head, c.led = fence, ledger.New(ledger.Config{Partitions: 1, Node: "n"}, fence)
	return c
}

// write changes a record, or deletes it, and moves time on.
func (c *chronicle) write(key, name string, remove bool) {
	c.t.Helper()
	c.now = c.now.Add(time.Second)
	c.led.Keep(c.now, &task.Write{Key: key, Name: name, Value: []byte(c.now.String()), Delete: remove})
	b, ok := c.led.Seal(c.now)
	if !ok {
		return // It was not there.
	}
	for _, row := range b.Puts {
		if r, ok := row.(*store.OpLog); ok {
			c.log = append(c.log, r)
		}
	}
	c.commit(b)
	c.led.Committed()
}

func (c *chronicle) commit(b store.Batch) {
	c.t.Helper()
	if err := c.store.Commit(c.t.Context(), []store.Batch{b}); err != nil {
		c.t.Fatal(err)
	}
	c.head = b.Next
}

// forget makes the store what an earlier version left up to now: without an index,
// or with one that begins here.
func (c *chronicle) forget(begins bool) {
	c.t.Helper()
	rows, err := c.store.Load(c.t.Context(), store.Scan{
		Table: store.TableRecord, From: &store.Record{Key: store.IndexPrefix}, To: &store.Record{Key: store.AfterIndex}, Limit: 100_000,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	b := store.Batch{Prev: c.head, Next: c.head, Deletes: rows}
	b.Next.HLC++
	c.commit(b)
	c.led = ledger.New(ledger.Config{Partitions: 1, Node: "n"}, c.head)
	rows, err = c.store.Load(c.t.Context(), store.Scan{Table: store.TableRecord, Limit: 100_000})
	if err != nil {
		c.t.Fatal(err)
	}
	byKey := map[string][]*store.Record{}
	for _, row := range rows {
		r := row.(*store.Record)
		byKey[r.Key] = append(byKey[r.Key], r)
	}
	for key, records := range byKey {
		c.led.Expect(key)
		c.led.Fill(key, records, true)
	}
	if begins {
		c.led.Indexed(store.IndexGone, c.head.Seq)
	}
}

// want is the answer to a query, by looking at all that was written.
func (c *chronicle) want(q HistoryQuery) (seqs []uint64) {
	for _, r := range c.log {
		at := r.HLC.Time()
		if r.Key == q.Key && (q.Name == "" || r.Name == q.Name) && !at.Before(q.Since) && (q.Until.IsZero() || at.Before(q.Until)) {
			seqs = append(seqs, r.Seq)
		}
	}
	if q.Newest {
		slices.Reverse(seqs)
	}
	return seqs
}

// ask reads all pages of an answer.
func (c *chronicle) ask(q HistoryQuery) (seqs []uint64) {
	c.t.Helper()
	c.reads = 0
	for range 10_000 {
		h := &historian{store: c.store, q: q}
		f := h.oldest
		if q.Newest {
			f = h.newest
		}
		if q.Page != "" {
			if b := (&backward{h: h}); b.parse(q.Page) != nil {
				c.t.Fatalf("page token %s is refused", q.Page)
			}
		}
		if err := f(c.t.Context()); err != nil {
			c.t.Fatal(err)
		}
		c.reads += h.looked
		for _, ch := range h.page.Changes {
			seqs = append(seqs, ch.Seq)
		}
		if q.After, q.Page = h.page.After, h.page.Page; q.After == 0 && q.Page == "" {
			return seqs
		}
	}
	c.t.Fatal("the pages do not end")
	return nil
}

// TestHistoryIsTheSameWhicheverWayItIsFound writes and deletes records at random, with
// and without an index for a part of it, and compares all ways to ask with the log.
func TestHistoryIsTheSameWhicheverWayItIsFound(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 4))
			c := newChronicle(t)
			began := c.now
			steps := 50 + rng.IntN(900)
			forget := rng.IntN(2 * steps) // half of the seeds never do
			deletes := 1 + rng.IntN(6)
			names := 1 + rng.IntN(4)
			for i := range steps {
				if i == forget {
					c.forget(rng.IntN(2) == 0)
				}
				c.write(fmt.Sprint("k", rng.IntN(3)), fmt.Sprint("n", rng.IntN(names)), rng.IntN(deletes) == 0)
			}
			for range 40 {
				q := HistoryQuery{Key: fmt.Sprint("k", rng.IntN(4)), Limit: 1 + rng.IntN(40), Newest: rng.IntN(3) > 0}
				if rng.IntN(3) > 0 {
					q.Name = fmt.Sprint("n", rng.IntN(names+1))
				}
				moment := func() time.Time { return began.Add(time.Duration(rng.IntN(steps)) * time.Second) }
				if rng.IntN(3) == 0 {
					q.Since = moment()
				}
				if rng.IntN(3) == 0 {
					q.Until = moment()
					if q.Until.Before(q.Since) {
						q.Since, q.Until = q.Until, q.Since
					}
				}
				if got, want := c.ask(q), c.want(q); !slices.Equal(got, want) {
					t.Fatalf("%+v: got %v, want %v", q, got, want)
				}
			}
		})
	}
}

// TestHistoryOfOneRecordIsFoundAmongMany counts the rows that are read.
func TestHistoryOfOneRecordIsFoundAmongMany(t *testing.T) {
	c := newChronicle(t)
	for i := range 20_000 {
		if i%2000 == 0 {
			c.write("k", "n", i%4000 == 2000) // deleted and made again
			continue
		}
		c.write(fmt.Sprint("other", i%100), "n", false)
	}
	middle := c.log[10_000].HLC.Time()
	for name, tt := range map[string]struct {
		q    HistoryQuery
		most int
	}{
		"newest first":                {HistoryQuery{Key: "k", Name: "n", Newest: true, Limit: 100}, 40},
		"newest first, of the key":    {HistoryQuery{Key: "k", Newest: true, Limit: 100}, 40},
		"oldest first":                {HistoryQuery{Key: "k", Name: "n", Limit: 100}, 40},
		"the latest":                  {HistoryQuery{Key: "k", Name: "n", Newest: true, Limit: 1}, 120},
		"newest first, since a time":  {HistoryQuery{Key: "k", Name: "n", Newest: true, Limit: 100, Since: middle}, 30},
		"oldest first, until a time":  {HistoryQuery{Key: "k", Name: "n", Limit: 100, Until: middle}, 40},
		"oldest first, since a time":  {HistoryQuery{Key: "k", Name: "n", Limit: 100, Since: middle}, 30},
		"of a record that never was":  {HistoryQuery{Key: "none", Name: "n", Newest: true, Limit: 100}, 5},
		"of many changes, newest one": {HistoryQuery{Key: "other1", Name: "n", Newest: true, Limit: 100, Since: c.log[19_000].HLC.Time()}, 2000},
	} {
		if got, want := c.ask(tt.q), c.want(tt.q); !slices.Equal(got, want) || c.reads > tt.most {
			t.Errorf("%s: got %v, want %v; %d rows were read, want at most %d", name, got, want, c.reads, tt.most)
		}
	}
}

func TestTheHistoryOfManyDeletedRecordsComesInPages(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		t := r.t
		const n = 2 * maxHeads
		for i := range n {
			r.put("k", fmt.Sprint("n", i), "x")
		}
		for i := range n {
			if _, err := r.e.PutRecord(t.Context(), task.Write{Key: "k", Name: fmt.Sprint("n", i), Delete: true}, true); err != nil {
				t.Fatal(err)
			}
		}
		seen, last := 0, uint64(math.MaxUint64)
		for q := (HistoryQuery{Key: "k", Newest: true, Limit: 80}); ; {
			page, err := r.e.History(t.Context(), q)
			if err != nil {
				t.Fatalf("after %d changes: %v", seen, err)
			}
			for _, change := range page.Changes {
				if seen++; change.Seq >= last {
					t.Errorf("change %d after %d", change.Seq, last)
				}
				last = change.Seq
			}
			if q.Page = page.Page; q.Page == "" {
				break
			}
		}
		if seen != 2*n {
			t.Errorf("%d changes, want %d", seen, 2*n)
		}
	})
}
