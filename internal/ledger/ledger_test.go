package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

var noon = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

// partitions is how many there are in these tests; here and away are keys of
// partition 0 and of another one.
const partitions = 4

var here, sibling, away = keyOf(0, 0), keyOf(0, 1), keyOf(1, 0)

// keyOf returns the n-th key of a partition.
func keyOf(part, n int) string {
	for i := 0; ; i++ {
		key := "key-" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		if task.PartitionOf(key, partitions) == part {
			if n == 0 {
				return key
			}
			n--
		}
	}
}

func newLedger() *ledger.Ledger {
	return ledger.New(ledger.Config{Partitions: partitions, Node: "node"}, store.Fence{Epoch: 3})
}

func put(name string, expected uint64, value string) task.Write {
	return task.Write{Name: name, Expected: expected, Value: []byte(value)}
}

// apply checks and applies an outcome of a task of key here under a token.
func apply(t *testing.T, l *ledger.Ledger, token uint64, writes ...task.Write) {
	t.Helper()
	tk := &task.Task{ID: task.DeriveID(t.Name()), Key: here}
	o := &task.Outcome{Writes: writes}
	if err := l.Check(tk, o, token); err != nil {
		t.Fatalf("check: %v", err)
	}
	l.Apply(noon, ledger.Author{TaskID: tk.ID, Attempt: 1, Worker: "w", Token: token}, tk, o)
}

// commit seals the gathering batch and says that it is durable.
func commit(t *testing.T, l *ledger.Ledger) store.Batch {
	t.Helper()
	b, ok := l.Seal(noon)
	if !ok {
		t.Fatal("there is nothing to commit")
	}
	l.Committed()
	return b
}

func rows[T store.Row](b []store.Row) (found []T) {
	for _, r := range b {
		if r, ok := r.(T); ok {
			found = append(found, r)
		}
	}
	return found
}

func wantCode(t *testing.T, err error, code task.Code, words string) {
	t.Helper()
	if task.CodeOf(err) != code || err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want code %v and words %q", err, code, words)
	}
}

func TestVersionIsTheOpLogNumberOfTheWrite(t *testing.T) {
	l := newLedger()
	apply(t, l, 1, put("a", 0, "1"), put("b", 0, "2"))
	if a, b := l.Record(here, "a"), l.Record(here, "b"); a.Version != 1 || b.Version != 2 || string(a.Value) != "1" {
		t.Errorf("records %+v, %+v", a, b)
	}
	apply(t, l, 2, put("a", 1, "3"))
	if a := l.Record(here, "a"); a.Version != 3 || a.UpdatedAt == 0 || a.TaskID != task.DeriveID(t.Name()) {
		t.Errorf("after the second write: %+v", a)
	}
}

func TestDeleteAndRecreateKeepsVersionsGrowing(t *testing.T) {
	l := newLedger()
	apply(t, l, 1, put("a", 0, "old"))
	apply(t, l, 2, task.Write{Name: "a", Expected: 1, Delete: true, Value: []byte("ignored")})
	if r := l.Record(here, "a"); r.Version != 0 || r.Value != nil {
		t.Errorf("after the delete: %+v", r)
	}
	apply(t, l, 3, put("a", 0, "new"))
	if r := l.Record(here, "a"); r.Version != 3 {
		t.Errorf("the re-created record has version %d, want 3", r.Version)
	}
	log := rows[*store.OpLog](commit(t, l).Puts)
	if len(log) != 3 || log[1].Op != store.OpDelete || log[1].Before != 1 || log[1].After != 0 || log[1].Value != nil || log[2].Before != 0 {
		t.Errorf("op log %+v", log)
	}
}

func TestDeleteOfWhatIsNotThereChangesNothing(t *testing.T) {
	l := newLedger()
	apply(t, l, 1, task.Write{Name: "a", Delete: true})
	if b, ok := l.Seal(noon); ok {
		t.Errorf("a batch %+v", b)
	}
	// A later task of the lease builds on the absence.
	apply(t, l, 1, task.Write{Name: "a", Chained: true, Value: []byte("1")})
	if r := l.Record(here, "a"); r.Version != 1 {
		t.Errorf("record %+v", r)
	}
}

func TestConflictNamesRecordAndVersions(t *testing.T) {
	tk := &task.Task{Key: here}
	for name, o := range map[string]task.Outcome{
		"write of an old version":   {Writes: []task.Write{put("a", 7, "x")}},
		"write as if it were new":   {Writes: []task.Write{put("a", 0, "x")}},
		"write of what is not":      {Writes: []task.Write{put("b", 1, "x")}},
		"read of an old version":    {Reads: []task.Read{{Name: "a", Version: 7}}},
		"read chained to nothing":   {Reads: []task.Read{{Name: "a", Chained: true}}},
		"write chained to nothing":  {Writes: []task.Write{{Name: "a", Chained: true}}},
		"only one of several":       {Writes: []task.Write{put("b", 0, "x"), put("a", 9, "x")}},
		"named by the task's key":   {Writes: []task.Write{{Key: here, Name: "a", Expected: 9}}},
		"in another key's entity":   {Writes: []task.Write{{Key: sibling, Name: "a", Expected: 9}}},
		"a delete of an old one":    {Writes: []task.Write{{Name: "a", Expected: 9, Delete: true}}},
		"read before a right write": {Reads: []task.Read{{Name: "a", Version: 9}}, Writes: []task.Write{put("a", 1, "x")}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			apply(t, l, 1, put("a", 0, "1"))
			err := l.Check(tk, &o, 2)
			if !isConflict(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestChainedWritesBuildOnTheirLeaseOnly(t *testing.T) {
	l := newLedger()
	chained := &task.Outcome{Writes: []task.Write{{Name: "a", Chained: true, Value: []byte("2")}}}
	tk := &task.Task{Key: here}
	apply(t, l, 5, put("a", 0, "1"))
	if err := l.Check(tk, chained, 5); err != nil {
		t.Errorf("the same lease: %v", err)
	}
	if err := l.Check(tk, chained, 6); !isConflict(err) {
		t.Errorf("another lease: %v", err)
	}
	if _, err := l.Write(noon, &task.Write{Key: here, Name: "a", Expected: 1}, false); err != nil {
		t.Fatal(err)
	}
	if err := l.Check(tk, chained, 5); !isConflict(err) {
		t.Errorf("after somebody else wrote: %v", err)
	}
	if err := l.Check(tk, chained, 0); !isConflict(err) {
		t.Errorf("without a lease, after a write without one: %v", err)
	}
}

func TestFinalRefusals(t *testing.T) {
	long := strings.Repeat("x", task.MaxKey+1)
	for name, c := range map[string]struct {
		task  task.Task
		o     task.Outcome
		code  task.Code
		words string
	}{
		"chained elsewhere":     {task.Task{Key: here}, task.Outcome{Writes: []task.Write{{Key: away, Name: "a", Chained: true}}}, task.CodeInvalidArgument, away},
		"reads chained away":    {task.Task{Key: here}, task.Outcome{Reads: []task.Read{{Key: away, Name: "a", Chained: true}}}, task.CodeInvalidArgument, away},
		"task without key":      {task.Task{}, task.Outcome{Writes: []task.Write{{Name: "a"}}}, task.CodeFailedPrecondition, "submit it with a key"},
		"reads without key":     {task.Task{}, task.Outcome{Reads: []task.Read{{Name: "a"}}}, task.CodeFailedPrecondition, "submit it with a key"},
		"no name":               {task.Task{Key: here}, task.Outcome{Writes: []task.Write{{}}}, task.CodeInvalidArgument, "name"},
		"long name":             {task.Task{Key: here}, task.Outcome{Writes: []task.Write{{Name: long}}}, task.CodeInvalidArgument, "name"},
		"long key":              {task.Task{Key: here}, task.Outcome{Writes: []task.Write{{Key: long, Name: "a"}}}, task.CodeInvalidArgument, "key"},
		"large value":           {task.Task{Key: here}, task.Outcome{Writes: []task.Write{{Name: "a", Value: make([]byte, task.MaxRecordValue+1)}}}, task.CodeTooLarge, "bytes"},
		"twice":                 {task.Task{Key: here}, task.Outcome{Writes: []task.Write{{Name: "a"}, {Name: "a"}}}, task.CodeInvalidArgument, "twice"},
		"twice, key spelled":    {task.Task{Key: here}, task.Outcome{Writes: []task.Write{{Name: "a"}, {Key: here, Name: "a"}}}, task.CodeInvalidArgument, "twice"},
		"too many writes":       {task.Task{Key: here}, task.Outcome{Writes: make([]task.Write, task.MaxWrites+1)}, task.CodeTooLarge, "1000"},
		"too many emits":        {task.Task{Key: here}, task.Outcome{Emits: make([]task.Task, task.MaxEmits+1)}, task.CodeTooLarge, "1000"},
		"large result":          {task.Task{}, task.Outcome{Result: make([]byte, task.MaxResult+1)}, task.CodeTooLarge, "result"},
		"final beside conflict": {task.Task{Key: here}, task.Outcome{Reads: []task.Read{{Name: "a", Version: 9}}, Writes: []task.Write{{}}}, task.CodeInvalidArgument, "name"},
	} {
		t.Run(name, func(t *testing.T) {
			wantCode(t, newLedger().Check(&c.task, &c.o, 1), c.code, c.words)
		})
	}
}

func TestTaskWithoutKeyMayHaveAResult(t *testing.T) {
	if err := newLedger().Check(&task.Task{}, &task.Outcome{Result: []byte("ok")}, 1); err != nil {
		t.Error(err)
	}
}

func TestSeveralWritesOfOneRecordBecomeOneRow(t *testing.T) {
	l := newLedger()
	apply(t, l, 1, put("a", 0, "1"), put("gone", 0, "1"))
	apply(t, l, 1, put("a", 1, "2"), task.Write{Name: "gone", Expected: 2, Delete: true})
	apply(t, l, 1, put("a", 3, "3"))
	b := commit(t, l)
	records, index := recordsOf(b.Puts)
	if len(index) != 3 || index[2].Version != 4 || string(index[2].Value) != "gone" {
		t.Errorf("index %+v", index)
	}
	if len(records) != 1 || records[0].Version != 5 || string(records[0].Value) != "3" || records[0].Key != here {
		t.Errorf("records %+v", records)
	}
	if gone := rows[*store.Record](b.Deletes); len(gone) != 1 || gone[0].Name != "gone" {
		t.Errorf("deleted %+v", gone)
	}
	if log := rows[*store.OpLog](b.Puts); len(log) != 5 {
		t.Errorf("%d op-log rows, want 5", len(log))
	}
	apply(t, l, 2, put("a", 5, "4"))
	if again := rows[*store.Record](commit(t, l).Puts); len(again) != 1 || again[0].Version != 6 {
		t.Errorf("the next batch writes %+v", again)
	}
}

func TestOpLogIsChainedAcrossBatches(t *testing.T) {
	l := newLedger()
	var log []*store.OpLog
	for token := range uint64(4) {
		a := l.Record(here, "a").Version
		apply(t, l, token+1, put("a", a, "x"), put("b", 0, "y"))
		apply(t, l, token+1, task.Write{Name: "b", Chained: true, Delete: true})
		b := commit(t, l)
		log = append(log, rows[*store.OpLog](b.Puts)...)
		if last := log[len(log)-1]; b.Next.Chain != last.Hash || b.Next.Seq != last.Seq {
			t.Errorf("the fence %+v is not at the end of the log", b.Next)
		}
	}
	var before [32]byte
	for i, row := range log {
		if row.Seq != uint64(i+1) {
			t.Fatalf("row %d has number %d", i, row.Seq)
		}
		if i > 0 && row.HLC <= log[i-1].HLC {
			t.Errorf("row %d does not grow in time", i)
		}
		if hash, _ := ledger.Chain(before, row, nil); hash != row.Hash {
			t.Errorf("row %d does not follow the row before", i)
		}
		before = row.Hash
	}
	if len(log) != 12 {
		t.Errorf("%d rows, want 12", len(log))
	}
}

func TestChainCoversEveryField(t *testing.T) {
	base := store.OpLog{
		Seq: 1, HLC: 2, Op: store.OpPut, Key: "k", Name: "n", Before: 3, After: 4, Value: []byte("v"),
		TaskID: task.ID{5}, Attempt: 6, Node: "node", Worker: "w",
	}
	seen := map[[32]byte]string{}
	for name, change := range map[string]func(*store.OpLog){
		"nothing": func(*store.OpLog) {},
		"seq":     func(r *store.OpLog) { r.Seq++ },
		"hlc":     func(r *store.OpLog) { r.HLC++ },
		"op":      func(r *store.OpLog) { r.Op = store.OpDelete },
		"key":     func(r *store.OpLog) { r.Key = "kn"; r.Name = "" },
		"name":    func(r *store.OpLog) { r.Name = "m" },
		"before":  func(r *store.OpLog) { r.Before++ },
		"after":   func(r *store.OpLog) { r.After++ },
		"value":   func(r *store.OpLog) { r.Value = []byte("w") },
		"task":    func(r *store.OpLog) { r.TaskID[15]++ },
		"attempt": func(r *store.OpLog) { r.Attempt++ },
		"node":    func(r *store.OpLog) { r.Node = "nodew"; r.Worker = "" },
		"worker":  func(r *store.OpLog) { r.Worker = "x" },
	} {
		row := base
		change(&row)
		hash, _ := ledger.Chain([32]byte{1}, &row, nil)
		if other, ok := seen[hash]; ok {
			t.Errorf("%s and %s have one hash", name, other)
		}
		seen[hash] = name
	}
	if hash, _ := ledger.Chain([32]byte{2}, &base, nil); seen[hash] != "" {
		t.Error("the row before does not count")
	}
}

func TestPipelineHasOneBatchInFlight(t *testing.T) {
	l := newLedger()
	if _, ok := l.Seal(noon); ok {
		t.Fatal("an empty batch was sealed")
	}
	if l.Pending() != 0 || !l.Durable(l.Pending()) {
		t.Errorf("an empty ledger waits for batch %d", l.Pending())
	}
	apply(t, l, 1, put("a", 0, "1"))
	if l.Number() != 1 || l.Pending() != 1 || l.Durable(1) || l.Clean(here) {
		t.Errorf("gathering: number %d, pending %d", l.Number(), l.Pending())
	}
	first, ok := l.Seal(noon)
	if !ok || first.Part != 0 || first.Prev != (store.Fence{Epoch: 3}) || first.Next.Seq != 1 || first.Next.Epoch != 3 || first.Next.HLC == 0 {
		t.Fatalf("first batch %+v, %v", first, ok)
	}
	if l.Pending() != 1 || l.Bytes() != 0 {
		t.Errorf("in flight: pending %d, %d bytes", l.Pending(), l.Bytes())
	}
	apply(t, l, 2, put("a", 1, "2"))
	if _, ok := l.Seal(noon); ok {
		t.Fatal("a second batch was sealed while the first is in flight")
	}
	l.Committed()
	if !l.Durable(1) || l.Durable(2) || l.Clean(here) {
		t.Error("the second write is not durable yet")
	}
	second := commit(t, l)
	if second.Prev != first.Next || second.Next.Seq != 2 || second.Next.HLC <= first.Next.HLC {
		t.Errorf("second batch %+v after %+v", second, first)
	}
	if !l.Clean(here) || !l.Durable(l.Pending()) {
		t.Error("all is durable")
	}
	if records, _ := recordsOf(first.Puts); len(records) != 1 || string(records[0].Value) != "1" {
		t.Errorf("the first batch was changed afterwards: %+v", first.Puts)
	}
}

func TestStampsGrowWhateverTheClockSays(t *testing.T) {
	l := ledger.New(ledger.Config{Partitions: partitions}, store.Fence{Epoch: 1, HLC: task.TimestampAt(noon.Add(time.Hour))})
	last := task.TimestampAt(noon.Add(time.Hour))
	for _, now := range []time.Time{noon, noon.Add(2 * time.Hour), noon, {}, noon.Add(2 * time.Hour)} {
		ts := l.Stamp(now)
		if ts <= last {
			t.Errorf("%v after %v", ts, last)
		}
		last = ts
	}
}

func TestEmitIsStampedIntoTheOutbox(t *testing.T) {
	l := newLedger()
	e := task.Task{ID: task.ID{1}, Queue: "q", Key: away, Payload: []byte("p")}
	row := l.Emit(noon, &e)
	b := commit(t, l)
	if len(b.Puts) != 1 || b.Puts[0] != store.Row(row) || row.Seq != uint64(e.CreatedAt) || b.Next.HLC <= e.CreatedAt {
		t.Errorf("batch %+v, row %+v, task %+v", b, row, e)
	}
	got, err := task.Decode(row.Body)
	if err != nil || got.ID != e.ID || got.CreatedAt != e.CreatedAt || got.Key != away || string(got.Payload) != "p" {
		t.Errorf("decoded %+v, %v", got, err)
	}
}

func TestDirectWrite(t *testing.T) {
	l := newLedger()
	w := func(expected uint64, anyVersion bool) (uint64, error) {
		return l.Write(noon, &task.Write{Key: here, Name: "a", Expected: expected, Value: []byte("x")}, anyVersion)
	}
	if v, err := w(0, false); v != 1 || err != nil {
		t.Fatalf("create: %d, %v", v, err)
	}
	_, err := w(0, false)
	wantCode(t, err, task.CodeConflict, "version 1, not 0")
	if v, err := w(77, true); v != 2 || err != nil {
		t.Errorf("any version: %d, %v", v, err)
	}
	if v, err := l.Write(noon, &task.Write{Key: here, Name: "a", Expected: 2, Delete: true}, false); v != 0 || err != nil {
		t.Errorf("delete: %d, %v", v, err)
	}
	_, err = l.Write(noon, &task.Write{Key: here}, true)
	wantCode(t, err, task.CodeInvalidArgument, "name")
	if r := rows[*store.OpLog](commit(t, l).Puts); len(r) != 3 || !r[0].TaskID.IsZero() || r[0].Node != "node" {
		t.Errorf("op log %+v", r)
	}
}

// recordsOf tells records from rows of the index.
func recordsOf(puts []store.Row) (records, index []*store.Record) {
	for _, r := range rows[*store.Record](puts) {
		if store.IsIndex(r.Key) {
			index = append(index, r)
			continue
		}
		records = append(records, r)
	}
	return records, index
}

func TestDeletesAndHeldLocksAreIndexed(t *testing.T) {
	l := newLedger()
	keep := func(key, name string, remove bool) {
		l.Keep(noon, &task.Write{Key: key, Name: name, Value: []byte("x"), Delete: remove})
	}
	keep("k", "n", false)
	b := commit(t, l)
	if _, index := recordsOf(b.Puts); len(index) != 2 {
		t.Errorf("with the first change the index begins with %+v", index)
	}
	for _, step := range []struct {
		key, name string
		remove    bool
		put       []*store.Record
		removed   *store.Record
	}{
		{"k", "n", true, []*store.Record{store.Gone("k", "n", 2)}, nil},
		{"k", "n", true, nil, nil},
		{"l", task.LockRecord, false, []*store.Record{store.Held("l", 3)}, nil},
		{"l", task.LockRecord, true, []*store.Record{store.Gone("l", task.LockRecord, 4)}, store.Held("l", 0)},
	} {
		keep(step.key, step.name, step.remove)
		b, ok := l.Seal(noon)
		if ok {
			l.Committed()
		}
		_, put := recordsOf(b.Puts)
		removed := slices.ContainsFunc(rows[*store.Record](b.Deletes), func(r *store.Record) bool {
			return step.removed != nil && r.Key == step.removed.Key && r.Name == step.removed.Name
		})
		if fmt.Sprintf("%+v", deref(put)) != fmt.Sprintf("%+v", deref(step.put)) || removed != (step.removed != nil) {
			t.Errorf("%+v: put %+v, removed %v", step, deref(put), removed)
		}
	}
	// A lock that goes from one to the next in a batch stays in the index.
	keep("l", task.LockRecord, false)
	keep("l", task.LockRecord, true)
	keep("l", task.LockRecord, false)
	b = commit(t, l)
	if _, index := recordsOf(b.Puts); len(index) != 2 || index[1].Version != 7 || len(b.Deletes) != 0 {
		t.Errorf("put %+v, removed %+v", deref(index), b.Deletes)
	}
}

func deref(rows []*store.Record) (list []store.Record) {
	for _, r := range rows {
		list = append(list, *r)
	}
	return list
}

func TestAMarkThatIsWrittenAfterItsRemovalStays(t *testing.T) {
	l := newLedger()
	mark := func(i byte) *store.Dedup { return &store.Dedup{ID: task.ID{i}} }
	for i := range byte(4) {
		l.Delete(mark(i))
	}
	l.Delete(&store.Dead{Seq: 9})
	l.Put(mark(1))
	l.Put(mark(0))
	l.Put(mark(7))
	b, ok := l.Seal(noon)
	if !ok || len(b.Puts) != 3 || len(b.Deletes) != 3 {
		t.Fatalf("batch %+v", b)
	}
	for _, row := range b.Deletes {
		if d, ok := row.(*store.Dedup); ok && d.ID[0] != 2 && d.ID[0] != 3 {
			t.Errorf("mark %v is removed", d.ID)
		}
	}
	l.Committed()
	l.Put(mark(2)) // its removal was in the batch before
	if b, ok := l.Seal(noon); !ok || len(b.Puts) != 1 || len(b.Deletes) != 0 {
		t.Errorf("batch %+v", b)
	}
}
