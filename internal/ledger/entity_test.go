package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

func isConflict(err error) bool { return errors.Is(err, ledger.ErrConflict) }

// written returns a ledger of a partition in which something was written before.
func written(cacheBytes int) *ledger.Ledger {
	return ledger.New(ledger.Config{Partitions: partitions, Node: "node", CacheBytes: cacheBytes}, store.Fence{Epoch: 1, Seq: 100})
}

func row(key, name string, version uint64, value string) *store.Record {
	return &store.Record{Key: key, Name: name, Version: version, Value: []byte(value)}
}

func TestNothingIsMissingWhereNothingWasWritten(t *testing.T) {
	l := newLedger()
	o := &task.Outcome{Writes: []task.Write{put("a", 0, "x")}, Reads: []task.Read{{Name: "b"}}}
	if missing := l.Missing(&task.Task{Key: here}, o); missing != nil || !l.Known(here) || !l.Ready(here) {
		t.Errorf("missing %v", missing)
	}
	if records, complete := l.Travel(here); records != nil || !complete {
		t.Errorf("travel %v, %v", records, complete)
	}
}

func TestMissingNamesWhatMustBeLoaded(t *testing.T) {
	l := written(0)
	o := &task.Outcome{
		Writes: []task.Write{put("a", 0, "x"), {Key: sibling, Name: "a"}, {Key: away, Name: "a"}, {Name: ""}, {Name: strings.Repeat("n", 200)}},
		Reads:  []task.Read{{Name: "r"}, {Key: strings.Repeat("k", 600), Name: "r"}},
	}
	tk := &task.Task{Key: here}
	want := []ledger.RecordKey{{Key: here, Name: "a"}, {Key: sibling, Name: "a"}, {Key: here, Name: "r"}}
	if got := l.Missing(tk, o); !slices.Equal(got, want) {
		t.Errorf("missing %v, want %v", got, want)
	}
	l.Fill(here, nil, true)
	l.FillOne(sibling, "a", nil)
	if got := l.Missing(tk, o); got != nil {
		t.Errorf("missing %v", got)
	}
	if got := l.Missing(&task.Task{}, &task.Outcome{Writes: []task.Write{{Name: "a"}}}); got != nil {
		t.Errorf("a task without a key misses %v", got)
	}
}

func TestAnInvalidNameIsNeverMissingInAPartialEntity(t *testing.T) {
	l := written(0)
	l.Fill(here, []*store.Record{row(here, "a", 7, "x")}, false)
	if got := l.Missing(&task.Task{Key: here}, &task.Outcome{Writes: []task.Write{{Name: ""}}}); got != nil {
		t.Errorf("missing %v: it would be loaded for ever", got)
	}
}

func TestFillKeepsWhatIsNewer(t *testing.T) {
	l := written(0)
	l.FillOne(here, "a", row(here, "a", 7, "old"))
	apply(t, l, 1, put("a", 7, "new"))
	l.FillOne(here, "gone", row(here, "gone", 8, "x"))
	apply(t, l, 1, task.Write{Name: "gone", Expected: 8, Delete: true})
	l.Fill(here, []*store.Record{row(here, "a", 7, "old"), row(here, "b", 9, "b"), row(here, "gone", 8, "x")}, true)
	l.FillOne(here, "a", row(here, "a", 7, "old"))
	if r := l.Record(here, "a"); string(r.Value) != "new" || r.Version != 101 {
		t.Errorf("record %+v", r)
	}
	if r := l.Record(here, "gone"); r.Version != 0 {
		t.Errorf("the deleted record is back: %+v", r)
	}
	if r := l.Record(here, "b"); r.Version != 9 {
		t.Errorf("record %+v", r)
	}
	if !l.Known(here) {
		t.Error("the entity is complete")
	}
}

func TestPartialEntityIsReadyButNotKnown(t *testing.T) {
	l := written(0)
	l.Fill(here, []*store.Record{row(here, "a", 7, "x")}, false)
	if l.Known(here) || !l.Ready(here) || !l.KnowsRecord(here, "a") || l.KnowsRecord(here, "b") {
		t.Error("a is known, b is not, and no more will be loaded")
	}
	if records, complete := l.Travel(here); records != nil || complete {
		t.Errorf("a part of the records travels: %v, %v", records, complete)
	}
	if got := l.Missing(&task.Task{Key: here}, &task.Outcome{Writes: []task.Write{put("b", 0, "x")}}); len(got) != 1 {
		t.Errorf("missing %v", got)
	}
}

func TestTravelIsSortedAndBounded(t *testing.T) {
	l := written(0)
	l.Fill(here, []*store.Record{row(here, "c", 3, "c"), row(here, "a", 1, "a"), row(here, "b", 2, "b")}, true)
	apply(t, l, 1, task.Write{Name: "b", Expected: 2, Delete: true})
	records, complete := l.Travel(here)
	if !complete || len(records) != 2 || records[0].Name != "a" || records[1].Name != "c" || records[1].Version != 3 || records[1].Key != here {
		t.Errorf("travel %+v, %v", records, complete)
	}
	apply(t, l, 2, put("big", 0, strings.Repeat("x", task.MaxTravel)))
	if records, complete := l.Travel(here); records != nil || complete {
		t.Errorf("%d records travel, complete %v", len(records), complete)
	}
	l.Fill(sibling, []*store.Record{row(sibling, "one", 5, "1")}, true)
	if records, complete := l.Travel(sibling); len(records) != 1 || !complete {
		t.Errorf("a single record: %v, %v", records, complete)
	}
	l.FillOne(keyOf(0, 2), "none", nil)
	l.Fill(keyOf(0, 2), nil, true)
	if records, complete := l.Travel(keyOf(0, 2)); records != nil || !complete {
		t.Errorf("a single record that does not exist: %v, %v", records, complete)
	}
}

func TestEvictionNeverForgetsWhatIsNotDurable(t *testing.T) {
	l := written(1)
	l.Fill(here, nil, true)
	l.Fill(sibling, []*store.Record{row(sibling, "s", 4, "x")}, true)
	apply(t, l, 1, put("a", 0, "1"))
	if _, ok := l.Seal(noon); !ok {
		t.Fatal("nothing to seal")
	}
	apply(t, l, 2, put("a", 101, "2"))
	l.Committed() // of the first write only
	if r := l.Record(here, "a"); string(r.Value) != "2" || !l.KnowsRecord(here, "a") {
		t.Errorf("forgotten before it was durable: %+v", r)
	}
	if l.Known(sibling) {
		t.Error("the cache holds more than it may")
	}
	commit(t, l)
	if l.KnowsRecord(here, "a") {
		t.Error("the cache holds more than it may")
	}
}

func TestEvictionForgetsTheLeastRecentlyUsed(t *testing.T) {
	l := written(2000)
	var keys []string
	for i := range 8 {
		keys = append(keys, keyOf(0, i))
		l.Fill(keys[i], []*store.Record{row(keys[i], "r", 1, strings.Repeat("x", 200))}, true)
	}
	l.Travel(keys[0])
	if _, err := l.Write(noon, &task.Write{Key: keys[7], Name: "r", Expected: 1}, false); err != nil {
		t.Fatal(err)
	}
	commit(t, l)
	if !l.Known(keys[0]) || !l.Known(keys[7]) || l.Known(keys[1]) || l.Known(keys[2]) {
		t.Error("want the keys that were used last")
	}
}

func TestEvictionWaitsForReadsThatAreUnderWay(t *testing.T) {
	l := written(1)
	l.Expect(here)
	l.FillOne(here, "a", row(here, "a", 7, "old")) // the first read
	l.Expect(here)
	l.Expect(here)
	apply(t, l, 1, put("a", 7, "new"))
	commit(t, l)
	l.Fill(here, []*store.Record{row(here, "a", 7, "old")}, true) // read before the commit
	if r := l.Record(here, "a"); string(r.Value) != "new" {
		t.Errorf("a slow read brought back %+v", r)
	}
	l.FillOne(here, "b", nil)
	apply(t, l, 1, put("b", 0, "x"))
	commit(t, l)
	if l.Known(here) {
		t.Error("the entity stays for ever")
	}
}

func TestAnEntityThatIsAlwaysChangedStaysBounded(t *testing.T) {
	const cache = 20_000
	l := written(cache)
	l.Fill(here, nil, true)
	version := map[string]uint64{}
	for i := range 1000 {
		name := fmt.Sprintf("r%d", i)
		l.FillOne(here, name, nil)
		apply(t, l, uint64(i), put(name, 0, strings.Repeat("x", 100)))
		version[name] = l.Record(here, name).Version
		if i > 0 {
			l.Committed()
		}
		if _, ok := l.Seal(noon); !ok {
			t.Fatal("nothing to seal")
		}
	}
	known := 0
	for name := range version {
		if l.KnowsRecord(here, name) {
			known++
		}
	}
	if known > cache/100 {
		t.Errorf("%d of 1000 records stay in memory", known)
	}
	if l.Known(here) || !l.Ready(here) {
		t.Error("the entity is not complete any more, and is not loaded again")
	}
	if last := l.Record(here, "r999"); last.Version != version["r999"] {
		t.Errorf("what is not durable was forgotten: %+v", last)
	}
}

func TestRecordIsZeroWhereItDoesNotExist(t *testing.T) {
	l := written(0)
	l.FillOne(here, "a", nil)
	for _, name := range []string{"a", "b"} {
		if r := l.Record(here, name); r.Version != 0 || r.Key != here || r.Name != name {
			t.Errorf("record %+v", r)
		}
	}
	if r := l.Record("unheard of", "a"); r.Version != 0 {
		t.Errorf("record %+v", r)
	}
	if !l.Clean("unheard of") {
		t.Error("what is not known is durable")
	}
}

func TestRecordsOfTheNodeDoNotTravel(t *testing.T) {
	for name, plain := range map[string][]string{"alone": nil, "among others": {"a", "b"}} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			if v := l.Keep(noon, &task.Write{Key: here, Name: task.LockRecord, Value: []byte("{}")}); v != 1 {
				t.Errorf("version %d", v)
			}
			for _, name := range plain {
				apply(t, l, 1, put(name, 0, "x"))
			}
			records, complete := l.Travel(here)
			var got []string
			for _, r := range records {
				got = append(got, r.Name)
			}
			if !slices.Equal(got, plain) || !complete {
				t.Errorf("%v travel (%v), want %v", got, complete, plain)
			}
			if r := l.Record(here, task.LockRecord); r.Version != 1 {
				t.Errorf("the record is %+v", r)
			}
		})
	}
}

func TestAProofIsCommittedThoughNothingChanges(t *testing.T) {
	l := newLedger()
	if _, ok := l.Seal(noon); ok {
		t.Fatal("an empty batch was sealed")
	}
	l.Prove()
	pending := l.Pending()
	b, ok := l.Seal(noon)
	if !ok || len(b.Puts)+len(b.Deletes) != 0 || b.Next.Seq != b.Prev.Seq || b.Next.HLC <= b.Prev.HLC {
		t.Fatalf("sealed %+v: %v", b, ok)
	}
	if l.Durable(pending) {
		t.Error("it was proven before the commit")
	}
	l.Committed()
	if !l.Durable(pending) {
		t.Error("the commit proved nothing")
	}
	if _, ok := l.Seal(noon); ok {
		t.Error("a proof was committed twice")
	}
}
