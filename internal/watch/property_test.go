package watch

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// TestWatchesOfAnyPaceSeeEverythingOnce writes at random while watches of many
// kinds come, read at their own pace, go, and go on from where they were.
func TestWatchesOfAnyPaceSeeEverythingOnce(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newRig(t, Config{Partitions: 3, RingRows: 1 + int(seed%7)*3, RingBytes: 200, LogReads: 1})
			rng := rand.New(rand.NewPCG(seed, 1))
			for range rng.IntN(50) {
				r.random(rng)
			}
			var group sync.WaitGroup
			for i := range 6 {
				group.Go(func() { follow(t, r.hub, r.store, rand.New(rand.NewPCG(seed, uint64(i)+2))) })
			}
			for range 400 {
				r.random(rng)
			}
			for part := range 3 { // The last change of each partition tells the watches to compare.
				r.write(part, change{fmt.Sprintf("%d/end", part), "n", "end"})
			}
			group.Wait()
		})
	}
}

// random commits a few changes, at times with an owner that dies before it hears
// of the commit.
func (r *rig) random(rng *rand.Rand) {
	part := rng.IntN(3)
	changes := make([]change, 0, 3)
	seen := map[string]bool{}
	for range 1 + rng.IntN(3) {
		c := change{key: fmt.Sprintf("%d/%d", part, rng.IntN(20)), name: "n", value: fmt.Sprint(rng.IntN(1000))}
		if seen[c.key] {
			continue
		}
		seen[c.key] = true
		if r.state[[2]string{c.key, c.name}] != nil && rng.IntN(4) == 0 {
			c.value = ""
		}
		changes = append(changes, c)
	}
	if rng.IntN(20) == 0 {
		r.commit(part, changes...)
		r.hub.Tail(part).Lost()
		r.claim(part)
		return
	}
	r.write(part, changes...)
}

// follow keeps a copy of the records by watching, and compares it at the end.
func follow(t *testing.T, hub *Hub, from store.Store, rng *rand.Rand) {
	t.Helper()
	copied := map[string]string{}
	last := map[string]uint64{}
	positions := map[int]Position{}
	req := Request{Initial: rng.IntN(2) == 0}
	req.Oldest = !req.Initial
	ended := map[int]bool{}
	apply := func(part int, key, value string, seq uint64) {
		if seq <= last[key] {
			t.Errorf("%s came with %d after %d", key, seq, last[key])
		}
		last[key] = seq
		if copied[key] = value; value == "" {
			delete(copied, key)
		}
		if strings.HasSuffix(key, "/end") {
			ended[part] = true
		}
	}
	for len(ended) < 3 {
		w, err := hub.Open(t.Context(), &req)
		if codeOf(err) == task.CodeUnavailable { // Its owner has just died.
			continue
		}
		if err != nil {
			t.Error(err)
			return
		}
		for range 1 + rng.IntN(30) {
			m, err := w.Next(t.Context())
			if err != nil {
				t.Error(err)
				break
			}
			for _, c := range m.Changes {
				if p := positions[m.Position.Part]; c.Seq <= p.Seq {
					t.Errorf("change %d came twice: the position was %d", c.Seq, p.Seq)
				}
				apply(m.Position.Part, c.Key, string(c.Value), c.Seq)
			}
			for _, rec := range m.Records {
				apply(m.Position.Part, rec.Key, string(rec.Value), rec.Version)
			}
			if m.Kind == KindChanges || m.Kind == KindRecords {
				positions[m.Position.Part] = m.Position
			}
			for _, p := range m.Positions {
				positions[p.Part] = p
			}
			if len(ended) == 3 {
				break
			}
		}
		w.Close()
		req = Request{Progress: 100 * time.Millisecond}
		for _, p := range positions {
			req.From = append(req.From, p)
		}
	}
	compare(t, from, copied)
}

func compare(t *testing.T, from store.Store, copied map[string]string) {
	t.Helper()
	want := map[string]string{}
	for part := range 3 {
		rows, err := from.Load(t.Context(), store.Scan{Part: part, Table: store.TableRecord, Limit: 1000})
		if err != nil {
			t.Error(err)
			return
		}
		for _, row := range rows {
			if rec, ok := row.(*store.Record); ok {
				want[rec.Key] = string(rec.Value)
			}
		}
	}
	if fmt.Sprint(copied) != fmt.Sprint(want) {
		t.Errorf("the copy is %v\nwant %v", copied, want)
	}
}
