package audit

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/storefake"
	"github.com/fenfa/fenfa/internal/task"
)

// world is one partition that a real ledger has written.
type world struct {
	tb    testing.TB
	store *storefake.Store
	led   *ledger.Ledger
	head  store.Fence
	now   time.Time
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{tb: tb, store: storefake.New(storefake.Config{AutoSync: true}), now: time.Unix(1_700_000_000, 0)}
	fence, err := w.store.Claim(tb.Context(), 0, 0)
	if err != nil {
		tb.Fatal(err)
	}
	w.head = fence
	w.led = ledger.New(ledger.Config{Partitions: 1, Node: "n"}, fence)
	return w
}

// write changes a record as a task's outcome does; an empty value deletes it.
func (w *world) write(key, value string) {
	w.tb.Helper()
	w.now = w.now.Add(time.Second)
	id := task.NewID(w.now)
	t := &task.Task{ID: id, Queue: "q", Key: key, CreatedAt: w.led.Stamp(w.now)}
	by := ledger.Author{TaskID: id, Attempt: 1, Worker: "w", Token: 1}
	o := &task.Outcome{Writes: []task.Write{{Name: "n", Expected: w.led.Record(key, "n").Version, Value: []byte(value), Delete: value == ""}}}
	w.led.Apply(w.now, by, t, o)
	w.led.Put(&store.Dedup{ID: id, State: task.StateDone, Queue: "q", Key: key, CreatedAt: t.CreatedAt, FinishedAt: w.led.Stamp(w.now)})
	b, ok := w.led.Seal(w.now)
	if !ok {
		w.tb.Fatal("nothing was written")
	}
	w.commit(b)
	w.led.Committed()
}

func (w *world) commit(b store.Batch) {
	w.tb.Helper()
	if err := w.store.Commit(w.tb.Context(), []store.Batch{b}); err != nil {
		w.tb.Fatal(err)
	}
	w.head = b.Next
}

// damage changes rows behind the ledger's back.
func (w *world) damage(puts, deletes []store.Row) {
	w.tb.Helper()
	b := store.Batch{Prev: w.head, Next: w.head, Puts: puts, Deletes: deletes}
	b.Next.HLC++
	w.commit(b)
}

func (w *world) row(seq uint64) *store.OpLog {
	w.tb.Helper()
	rows, err := w.store.Get(w.tb.Context(), 0, []store.Row{&store.OpLog{Seq: seq}})
	if err != nil {
		w.tb.Fatal(err)
	}
	row, ok := rows[0].(*store.OpLog)
	if !ok {
		w.tb.Fatalf("there is no row %d", seq)
	}
	return row
}

func (w *world) b() *store.Record {
	w.tb.Helper()
	rows, err := w.store.Get(w.tb.Context(), 0, []store.Row{&store.Record{Key: "b", Name: "n"}})
	if err != nil {
		w.tb.Fatal(err)
	}
	rec, ok := rows[0].(*store.Record)
	if !ok {
		w.tb.Fatal("there is no record b")
	}
	return rec
}

// audit returns what is found, one line a difference.
func (w *world) audit(change ...func(*Config)) (found []string, sum Summary) {
	w.tb.Helper()
	cfg := Config{Store: w.store, Partitions: 1, Head: w.head}
	cfg.Found = func(d Difference) error {
		found = append(found, d.String())
		return nil
	}
	for _, f := range change {
		f(&cfg)
	}
	sum, err := Run(w.tb.Context(), cfg)
	if err != nil {
		w.tb.Fatal(err)
	}
	if int(sum.Differences) != len(found) {
		w.tb.Errorf("%d differences were told, %d counted", len(found), sum.Differences)
	}
	return found, sum
}

// filled has records a to e, of which d was deleted: rows 1 to 10.
func filled(tb testing.TB) *world {
	tb.Helper()
	w := newWorld(tb)
	for i := range 8 {
		w.write(string(rune('a'+i%5)), fmt.Sprint("v", i))
	}
	w.write("d", "")
	w.write("e", "v9")
	return w
}

func TestAWholePartitionHasNoDifference(t *testing.T) {
	w := filled(t)
	found, sum := w.audit()
	if len(found) > 0 {
		t.Errorf("found %q", found)
	}
	if sum.Rows != 10 || sum.Records != 4 || sum.Marks != 4 || sum.Passes != 1 || sum.Head != 10 {
		t.Errorf("looked at %+v", sum)
	}
	if found, sum := newWorld(t).audit(); len(found) > 0 || sum.Rows != 0 {
		t.Errorf("an empty partition: %q, %+v", found, sum)
	}
}

// damage is one kind of damage and what names it: parts of each difference.
type damage struct {
	do   func(w *world)
	want [][]string
}

// logDamages are those of the op log.
func logDamages() map[string]damage {
	return map[string]damage{
		"a byte of a value in the log": {func(w *world) {
			row := w.row(6)
			row.Value[0] ^= 1
			w.damage([]store.Row{row}, nil)
		}, [][]string{{`row 6, record "n" of key "a"`, "chain: expected hash"}, {`row 6, record "n" of key "a": differs`, `value "w5"`, `found value "v5"`}}},
		"a byte of a value that was overwritten since": {func(w *world) {
			row := w.row(1)
			row.Value[0] ^= 1
			w.damage([]store.Row{row}, nil)
		}, [][]string{{"row 1", "chain"}}},
		"a row of the log is gone": {func(w *world) {
			w.damage(nil, []store.Row{&store.OpLog{Seq: 3}})
		}, [][]string{{"row 3: gap", "row 3 is missing"}}},
		"the last row of a record is gone": {func(w *world) {
			w.damage(nil, []store.Row{&store.OpLog{Seq: 6}})
		}, [][]string{{"row 6: gap"}, {`row 6, record "n" of key "a": differs: expected version 1, found version 6, whose row the op log does not have`}}},
		"several rows are gone": {func(w *world) {
			w.damage(nil, []store.Row{&store.OpLog{Seq: 1}, &store.OpLog{Seq: 2}})
		}, [][]string{{"row 1: gap", "rows 1 to 2 are missing"}}},
		"two rows are swapped": {func(w *world) {
			one, two := w.row(4), w.row(5)
			one.Seq, two.Seq = 5, 4
			w.damage([]store.Row{one, two}, nil)
		}, [][]string{
			{"row 4", "chain"},
			{"row 4", "version after 4, found 5"},
			{"row 5", "chain"},
			{"row 5", "timestamp: expected later than"},
			{"row 5", "version after 5, found 4"},
			{"row 6", "chain"},
			{"row 9", `key "d": version`, "5, found 4"},
			{"row 10", `key "e": version`, "4, found 5"},
		}},
		"a timestamp goes back": {func(w *world) {
			row := w.row(6)
			row.HLC = w.row(2).HLC
			w.damage([]store.Row{row}, nil)
		}, [][]string{{"row 6", "chain"}, {"row 6", "timestamp: expected later than"}, {"row 6", "differs", "updated at"}}},
		"a timestamp of the future": {func(w *world) {
			row := w.row(10)
			row.HLC += 1 << 40
			w.damage([]store.Row{row}, nil)
		}, [][]string{{"row 10", "chain"}, {"row 10", "timestamp", "not after the head's"}, {"row 10", "differs", "updated at"}}},
		"a hash": {func(w *world) {
			row := w.row(5)
			row.Hash[7] ^= 1
			w.damage([]store.Row{row}, nil)
		}, [][]string{{"row 5", "chain"}, {"row 6", "chain"}}},
		"the last hash": {func(w *world) {
			row := w.row(10)
			row.Hash[7] ^= 1
			w.damage([]store.Row{row}, nil)
		}, [][]string{{"row 10", "chain"}, {"row 10: head"}}},
		"a forged row at the end of a record's versions": {func(w *world) {
			row := w.row(10)
			row.Before = 3
			w.damage([]store.Row{row}, nil)
		}, [][]string{{"row 10", "chain"}, {`row 10, record "n" of key "e": version: expected version before 5, found 3`}}},
		"an op that nobody knows": {func(w *world) {
			row := w.row(2)
			row.Op = 77
			w.damage([]store.Row{row}, nil)
		}, [][]string{{"row 2", "chain"}, {"row 2", "a known op, found op 77"}}},
		"the tail is cut off": {func(w *world) {
			w.damage(nil, []store.Row{&store.OpLog{Seq: 9}, &store.OpLog{Seq: 10}})
		}, [][]string{
			{"row 9: head: expected a log that ends at the head, 10, found its end at 8"},
			{`row 10, record "n" of key "e": differs`, "whose row the op log does not have"},
			{`row 4, record "n" of key "d": missing`},
		}},
	}
}

// transactionDamages are those of what undecided transactions keep.
func transactionDamages() map[string]damage {
	tx := task.DeriveID("tx")
	intent := &store.Intent{Tx: tx, Key: "b", Name: "n", Op: store.IntentPut, Expected: 7, Value: []byte("x")}
	return map[string]damage{
		"an intent without a transaction": {func(w *world) {
			w.damage([]store.Row{intent}, nil)
		}, [][]string{{`record "n" of key "b": intent: expected a prepared branch of transaction ` + tx.String(), "found no branch"}}},
		"an intent of an aborted transaction": {func(w *world) {
			w.damage([]store.Row{&store.Branch{Tx: tx, State: store.TxAborted}, intent}, nil)
		}, [][]string{{`record "n" of key "b": intent`, "found one that is aborted"}}},
		"a branch without intents": {func(w *world) {
			w.damage([]store.Row{&store.Branch{Tx: tx, State: store.TxPrepared}}, nil)
		}, [][]string{{"branch: expected intents of transaction " + tx.String() + ", which is prepared here, found none"}}},
	}
}

// recordDamages are those of records and of marks.
func recordDamages() map[string]damage {
	return map[string]damage{
		"a record is changed": {func(w *world) {
			rec := w.b()
			rec.Value = []byte("forged")
			w.damage([]store.Row{rec}, nil)
		}, [][]string{{`row 7, record "n" of key "b": differs: expected value "v6", found value "forged"`}}},
		"a record is called a counter": {func(w *world) {
			rec := w.b()
			rec.Escrow = true
			w.damage([]store.Row{rec}, nil)
		}, [][]string{{`key "b": differs: expected escrow false, as op put made it, found escrow true`}}},
		"a record is set back": {func(w *world) {
			rec, row := w.b(), w.row(2)
			rec.Value, rec.Version, rec.UpdatedAt, rec.TaskID = row.Value, row.Seq, row.HLC, row.TaskID
			w.damage([]store.Row{rec}, nil)
		}, [][]string{{`key "b": differs: expected version 7, found version 2`}}},
		"the task of a record": {func(w *world) {
			rec := w.b()
			rec.TaskID = task.ID{}
			w.damage([]store.Row{rec}, nil)
		}, [][]string{{`key "b": differs: expected written by task`}}},
		"a record is deleted": {func(w *world) {
			w.damage(nil, []store.Row{&store.Record{Key: "c", Name: "n"}})
		}, [][]string{{`row 8, record "n" of key "c": missing: expected a record of version 8, found none`}}},
		"a record is added": {func(w *world) {
			w.damage([]store.Row{&store.Record{Key: "new", Name: "n", Version: 5, Value: []byte("x")}}, nil)
		}, [][]string{{`row 5, record "n" of key "new": extra: expected no record, found version 5, whose row is of record "n" of key "e"`}}},
		"a record of the future is added": {func(w *world) {
			w.damage([]store.Row{&store.Record{Key: "new", Name: "n", Version: 500, Value: []byte("x")}}, nil)
		}, [][]string{{`key "new": extra`, "version 500, whose row the op log does not have"}}},
		"a deleted record is back": {func(w *world) {
			row := w.row(4)
			w.damage([]store.Row{&store.Record{Key: "d", Name: "n", Version: 4, Value: row.Value, UpdatedAt: row.HLC, TaskID: row.TaskID}}, nil)
		}, [][]string{{`key "d": extra: expected no record, for it was deleted, found version 4`}}},
		"the index misses a delete": {func(w *world) {
			w.damage(nil, []store.Row{store.Gone("d", "n", 9)})
		}, [][]string{{`row 9, record "n" of key "d": index: expected a row of the index for the delete, found none`}}},
		"the mark of a task says dead": {func(w *world) {
			rec := w.b()
			w.damage([]store.Row{&store.Dedup{ID: rec.TaskID, State: task.StateDead, CreatedAt: 1, FinishedAt: rec.UpdatedAt + 1}}, nil)
		}, [][]string{{`row 7, record "n" of key "b": mark`, "done, for it wrote the record, found dead"}}},
		"a task wrote after its end": {func(w *world) {
			rec := w.b()
			w.damage([]store.Row{&store.Dedup{ID: rec.TaskID, State: task.StateDone, CreatedAt: 1, FinishedAt: rec.UpdatedAt - 1}}, nil)
		}, [][]string{{`key "b": mark`, "no write of task"}}},
	}
}

func TestEachDamageIsFoundAndNamed(t *testing.T) {
	all := logDamages()
	maps.Copy(all, recordDamages())
	maps.Copy(all, transactionDamages())
	for name, d := range all {
		t.Run(name, func(t *testing.T) {
			w := filled(t)
			d.do(w)
			for _, records := range []int{0, 1, 2} { // In one pass, and in several.
				found, _ := w.audit(func(cfg *Config) { cfg.Records = records })
				expect(t, found, d.want)
			}
		})
	}
}

// expect compares differences with their parts; the order of records is free.
func expect(t *testing.T, found []string, want [][]string) {
	t.Helper()
	left := slices.Clone(found)
	for _, parts := range want {
		i := slices.IndexFunc(left, func(line string) bool {
			return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) })
		})
		if i < 0 {
			t.Errorf("%q was not found; there is\n%s", parts, strings.Join(found, "\n"))
			return
		}
		left = slices.Delete(left, i, i+1)
	}
	if len(left) > 0 {
		t.Errorf("too much was found:\n%s", strings.Join(left, "\n"))
	}
}

func TestADeletedMarkOrAnOlderTaskOfTheIDIsNoDamage(t *testing.T) {
	w := filled(t)
	rec := w.b()
	for _, mark := range []*store.Dedup{
		{ID: rec.TaskID, State: task.StateScheduled, CreatedAt: rec.UpdatedAt + 1},
		{ID: rec.TaskID, State: task.StateDead, CreatedAt: rec.UpdatedAt + 1, FinishedAt: rec.UpdatedAt + 2},
	} {
		w.damage([]store.Row{mark}, nil)
		if found, _ := w.audit(); len(found) > 0 {
			t.Errorf("found %q", found)
		}
	}
	w.damage(nil, []store.Row{&store.Dedup{ID: rec.TaskID}})
	if found, _ := w.audit(); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}

func TestKeysOfAnotherPartitionAreNamed(t *testing.T) {
	w := filled(t)
	found, _ := w.audit(func(cfg *Config) { cfg.Partitions = 2 })
	if len(found) == 0 || !strings.Contains(strings.Join(found, "\n"), "foreign: expected a key of partition 0, found one of partition 1") {
		t.Errorf("found %q", found)
	}
}

// TestWhatChangesMeanwhileIsNoDamage writes between any two reads of the audit.
func TestWhatChangesMeanwhileIsNoDamage(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t)
		change := func() {
			key := fmt.Sprint("k", rng.IntN(30))
			if w.led.Record(key, "n").Version != 0 && rng.IntN(3) == 0 {
				w.write(key, "")
				return
			}
			w.write(key, fmt.Sprint(rng.IntN(100)))
		}
		for range 200 {
			change()
		}
		found, sum := w.audit(func(cfg *Config) {
			cfg.Records = []int{0, 5}[seed%2]
			cfg.Progress = func(Summary) {
				for range rng.IntN(10) {
					change()
				}
			}
		})
		if len(found) > 0 || sum.Head != 200 {
			t.Fatalf("seed %d: found %q, %+v", seed, found, sum)
		}
	}
}

func TestManyRecordsTakeSeveralPassesOfBoundedMemory(t *testing.T) {
	w := newWorld(t)
	for i := range 1000 {
		w.write(fmt.Sprint("k", i), "v")
	}
	found, sum := w.audit(func(cfg *Config) { cfg.Records = 100 })
	if len(found) > 0 || sum.Records != 1000 || sum.Passes < 10 || sum.Passes > 40 {
		t.Errorf("found %q in %d passes over %d records", found, sum.Passes, sum.Records)
	}
}

func TestAnAuditEndsWithItsContextAndWithWhoIsTold(t *testing.T) {
	w := filled(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cfg := Config{Store: w.store, Partitions: 1, Head: w.head, Found: func(Difference) error { return nil }}
	if _, err := Run(ctx, cfg); err == nil {
		t.Error("an audit without time has no error")
	}
	w.damage(nil, []store.Row{&store.OpLog{Seq: 3}})
	cfg.Head = w.head
	cfg.Found = func(d Difference) error { return fmt.Errorf("enough: %s", d.Kind) }
	if sum, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "enough: gap") || sum.Differences != 1 {
		t.Errorf("got %+v, %v", sum, err)
	}
	for _, wrong := range []Config{
		{}, {Store: w.store, Partitions: 1, Part: 1, Found: cfg.Found}, {Store: w.store, Partitions: 1, Busy: 2, Found: cfg.Found},
	} {
		if _, err := Run(t.Context(), wrong); err == nil {
			t.Errorf("%+v was taken", wrong)
		}
	}
}

// unreadable is a store of which one row of a table cannot be read.
type unreadable struct {
	store.Store
	bad func(store.Row) bool
}

func (u *unreadable) Load(ctx context.Context, scan store.Scan) ([]store.Row, error) {
	rows, err := u.Store.Load(ctx, scan)
	return u.check(rows, err)
}

func (u *unreadable) Get(ctx context.Context, part int, keys []store.Row) ([]store.Row, error) {
	rows, err := u.Store.Get(ctx, part, keys)
	return u.check(rows, err)
}

func (u *unreadable) check(rows []store.Row, err error) ([]store.Row, error) {
	for _, row := range rows {
		if row != nil && u.bad(row) {
			return nil, fmt.Errorf("decode row: %w", task.ErrCorrupt)
		}
	}
	return rows, err
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		gone uint64
		bad  func(store.Row) bool
		want [][]string
	}{
		"a row of the log": {0, func(row store.Row) bool { r, ok := row.(*store.OpLog); return ok && r.Seq == 3 }, [][]string{{"row 3: corrupt"}}},
		"the last row": {0, func(row store.Row) bool { r, ok := row.(*store.OpLog); return ok && r.Seq == 10 }, [][]string{
			{"row 10: corrupt"}, {`row 10, record "n" of key "e": differs`},
		}},
		"a row behind a gap": {3, func(row store.Row) bool { r, ok := row.(*store.OpLog); return ok && r.Seq == 4 }, [][]string{
			{"row 3: gap"}, {"row 4: corrupt"},
		}},
		"a record": {0, func(row store.Row) bool { r, ok := row.(*store.Record); return ok && r.Key == "b" }, [][]string{
			{"corrupt: expected records that can be read"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := filled(t)
			if c.gone != 0 {
				w.damage(nil, []store.Row{&store.OpLog{Seq: c.gone}})
			}
			found, _ := w.audit(func(cfg *Config) { cfg.Store = &unreadable{Store: w.store, bad: c.bad} })
			expect(t, found, c.want)
		})
	}
}

func BenchmarkAudit(b *testing.B) {
	w := newWorld(b)
	for i := range 20_000 {
		w.write(fmt.Sprint("k", i%5000), "some value of a usual size")
	}
	b.ReportAllocs()
	for b.Loop() {
		w.audit()
	}
	b.ReportMetric(20_000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func TestWhatAnUndecidedTransactionHoldsIsNoDamage(t *testing.T) {
	w := filled(t)
	tx := task.DeriveID("tx")
	w.damage([]store.Row{
		&store.Branch{Tx: tx, State: store.TxPrepared},
		&store.Intent{Tx: tx, Key: "a", Name: "n", Op: store.IntentRead},
		&store.Intent{Tx: tx, Key: "b", Name: "n", Op: store.IntentPut},
		&store.Branch{Tx: task.DeriveID("aborted"), State: store.TxAborted},
	}, nil)
	if found, _ := w.audit(); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}
