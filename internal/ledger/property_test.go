package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// naive is what the ledger must be: records in a map, without cache, batches or
// collapse.
type naive struct {
	seq     uint64
	records map[ledger.RecordKey]naiveRecord
}

type naiveRecord struct {
	version uint64
	value   string
	token   uint64
}

// run carries out an outcome and reports whether it may take effect.
func (n *naive) run(tk *task.Task, o *task.Outcome, token uint64) bool {
	ok := func(key, name string, expected uint64, chained bool) bool {
		r := n.records[ledger.RecordKey{Key: key, Name: name}]
		if chained {
			return r.token == token
		}
		return r.version == expected
	}
	for _, r := range o.Reads {
		if !ok(tk.Key, r.Name, r.Version, r.Chained) {
			return false
		}
	}
	for _, w := range o.Writes {
		if !ok(tk.Key, w.Name, w.Expected, w.Chained) {
			return false
		}
	}
	for _, w := range o.Writes {
		k := ledger.RecordKey{Key: tk.Key, Name: w.Name}
		if w.Delete && n.records[k].version == 0 {
			n.records[k] = naiveRecord{token: token}
			continue
		}
		n.seq++
		if w.Delete {
			n.records[k] = naiveRecord{token: token}
			continue
		}
		n.records[k] = naiveRecord{n.seq, string(w.Value), token}
	}
	return true
}

// disk is a store that is what the batches said.
type disk struct {
	fence   store.Fence
	records map[ledger.RecordKey]*store.Record
	log     []*store.OpLog
}

func (d *disk) commit(t *testing.T, b *store.Batch) {
	t.Helper()
	if b.Prev != d.fence {
		t.Fatalf("a batch follows %+v, the head is %+v", b.Prev, d.fence)
	}
	d.fence = b.Next
	for _, r := range b.Puts {
		switch r := r.(type) {
		case *store.Record:
			if store.IsIndex(r.Key) {
				continue
			}
			d.records[ledger.RecordKey{Key: r.Key, Name: r.Name}] = r
		case *store.OpLog:
			d.log = append(d.log, r)
		}
	}
	for _, r := range b.Deletes {
		if r, ok := r.(*store.Record); ok {
			delete(d.records, ledger.RecordKey{Key: r.Key, Name: r.Name})
		}
	}
}

// load brings what an outcome touches into memory, as the partition does.
func (d *disk) load(l *ledger.Ledger, rng *rand.Rand, tk *task.Task, o *task.Outcome) {
	if !l.Ready(tk.Key) && rng.IntN(2) == 0 {
		l.Expect(tk.Key)
		var rows []*store.Record
		for k, r := range d.records {
			if k.Key == tk.Key {
				rows = append(rows, r)
			}
		}
		l.Fill(tk.Key, rows, true)
	}
	for _, k := range l.Missing(tk, o) {
		l.Expect(k.Key)
		l.FillOne(k.Key, k.Name, d.records[k])
	}
}

func TestLedgerEqualsANaiveModel(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { compare(t, seed) })
	}
}

func compare(t *testing.T, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	model := naive{records: map[ledger.RecordKey]naiveRecord{}}
	d := disk{fence: store.Fence{Epoch: 1}, records: map[ledger.RecordKey]*store.Record{}}
	cfg := ledger.Config{Partitions: partitions, Node: "n", CacheBytes: []int{0, 1, 800, 3000}[rng.IntN(4)]}
	l := ledger.New(cfg, d.fence)
	var flying *store.Batch
	token, accepted := uint64(1), 0
	for range 300 {
		switch n := rng.IntN(10); {
		case n < 6:
			if rng.IntN(3) == 0 {
				token++
			}
			tk := &task.Task{ID: task.ID{byte(n)}, Key: keyOf(0, rng.IntN(4))}
			o := draw(rng, &model, tk.Key, token)
			d.load(l, rng, tk, o)
			err := l.Check(tk, o, token)
			if err != nil && !isConflict(err) {
				t.Fatal(err)
			}
			// What the ledger forgot of a token it may call a conflict: that is safe.
			if err != nil && chained(o) {
				continue
			}
			if want := model.run(tk, o, token); (err == nil) != want {
				t.Fatalf("the ledger says %v, the model %v: %+v", err, want, o)
			}
			if err == nil {
				l.Apply(noon, ledger.Author{TaskID: tk.ID, Token: token}, tk, o)
				accepted++
			}
		case n < 8:
			if b, ok := l.Seal(noon); ok {
				flying = &b
			}
		case flying != nil:
			d.commit(t, flying)
			flying = nil
			l.Committed()
		}
	}
	if flying != nil {
		d.commit(t, flying)
		l.Committed()
	}
	if b, ok := l.Seal(noon); ok {
		d.commit(t, &b)
		l.Committed()
	}
	settle(t, &model, &d)
	if accepted == 0 {
		t.Error("no outcome was accepted")
	}
}

func chained(o *task.Outcome) bool {
	for _, w := range o.Writes {
		if w.Chained {
			return true
		}
	}
	for _, r := range o.Reads {
		if r.Chained {
			return true
		}
	}
	return false
}

// draw makes an outcome that is often right.
func draw(rng *rand.Rand, n *naive, key string, token uint64) *task.Outcome {
	o := &task.Outcome{}
	names := []string{"a", "b", "c"}
	for i := range rng.IntN(4) {
		if i == len(names) {
			break
		}
		r := n.records[ledger.RecordKey{Key: key, Name: names[i]}]
		version, inLease := r.version, r.token == token && rng.IntN(2) == 0
		if rng.IntN(8) == 0 {
			version++
		}
		if rng.IntN(4) == 0 {
			o.Reads = append(o.Reads, task.Read{Name: names[i], Version: version, Chained: inLease})
			continue
		}
		o.Writes = append(o.Writes, task.Write{
			Name: names[i], Expected: version, Chained: inLease, Delete: rng.IntN(4) == 0, Value: fmt.Appendf(nil, "v%d", rng.IntN(1000)),
		})
	}
	return o
}

// settle compares what is durable at the end.
func settle(t *testing.T, n *naive, d *disk) {
	t.Helper()
	if d.fence.Seq != n.seq || len(d.log) != int(n.seq) {
		t.Fatalf("%d changes on disk, fence %d, the model made %d", len(d.log), d.fence.Seq, n.seq)
	}
	replay := map[ledger.RecordKey]uint64{}
	var before [32]byte
	for i, r := range d.log {
		k := ledger.RecordKey{Key: r.Key, Name: r.Name}
		if hash, _ := ledger.Chain(before, r, nil); hash != r.Hash || r.Seq != uint64(i+1) || r.Before != replay[k] {
			t.Fatalf("op-log row %+v does not follow", r)
		}
		before, replay[k] = r.Hash, r.After
	}
	live := 0
	for k, want := range n.records {
		got := d.records[k]
		if want.version == 0 {
			if got != nil {
				t.Errorf("%v exists: %+v", k, got)
			}
			continue
		}
		live++
		if got == nil || got.Version != want.version || string(got.Value) != want.value || replay[k] != want.version {
			t.Errorf("%v is %+v, want %+v", k, got, want)
		}
	}
	if live != len(d.records) {
		t.Errorf("%d records on disk, want %d", len(d.records), live)
	}
}
