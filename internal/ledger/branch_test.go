package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

var noon = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

// shared returns a ledger with records a and b of key k, durable, and empty otherwise.
func shared(t *testing.T) *Ledger {
	t.Helper()
	l := New(Config{Partitions: 1, Node: "node"}, store.Fence{Epoch: 1})
	for _, name := range []string{"a", "b"} {
		if _, err := l.Write(noon, &task.Write{Key: "k", Name: name, Value: []byte("old " + name)}, false); err != nil {
			t.Fatal(err)
		}
	}
	durable(t, l)
	return l
}

// durable commits what gathers and returns it.
func durable(t *testing.T, l *Ledger) store.Batch {
	t.Helper()
	b, ok := l.Seal(noon)
	if !ok {
		t.Fatal("nothing gathers")
	}
	l.Committed()
	return b
}

func branchOf(name string) *store.Branch {
	return &store.Branch{Tx: task.DeriveID(name), Home: 3, Began: task.TimestampAt(noon), TaskID: task.DeriveID("task"), Attempt: 2, Worker: "w"}
}

func intent(name string, op store.IntentOp, record string, expected uint64) *store.Intent {
	return &store.Intent{Tx: task.DeriveID(name), Key: "k", Name: record, Op: op, Expected: expected, Value: []byte("new " + record)}
}

// row returns the row of a batch that has the type of want and satisfies is.
func row[R store.Row](rows []store.Row, is func(R) bool) (found R, ok bool) {
	for _, r := range rows {
		if r, match := r.(R); match && is(r) {
			return r, true
		}
	}
	return found, false
}

func TestAPreparedBranchHoldsItsRecordsUntilItIsApplied(t *testing.T) {
	l := shared(t)
	if err := l.Prepare(noon, branchOf("x"), []*store.Intent{intent("x", store.IntentPut, "a", 1), intent("x", store.IntentRead, "b", 2)}); err != nil {
		t.Fatal(err)
	}
	b := durable(t, l)
	if r, ok := row(b.Puts, func(r *store.Record) bool { return r.Name == "a" }); !ok || r.Tx != task.DeriveID("x") || string(r.Value) != "old a" {
		t.Errorf("the held record is %+v", r)
	}
	if _, ok := row(b.Puts, func(r *store.Branch) bool { return r.State == store.TxPrepared }); !ok {
		t.Error("no branch was written")
	}
	own := &task.Task{Key: "k"}
	for name, tt := range map[string]struct {
		o    task.Outcome
		held bool
	}{
		"write what is to be written": {task.Outcome{Writes: []task.Write{{Name: "a", Expected: 1}}}, true},
		"read what is to be written":  {task.Outcome{Reads: []task.Read{{Name: "a", Version: 1}}}, true},
		"write what is read":          {task.Outcome{Writes: []task.Write{{Name: "b", Expected: 2}}}, true},
		"read what is read":           {task.Outcome{Reads: []task.Read{{Name: "b", Version: 2}}}, false},
		"write something else":        {task.Outcome{Writes: []task.Write{{Name: "c"}}}, false},
	} {
		if err := l.Check(own, &tt.o, 1); errors.Is(err, ErrPinned) != tt.held || !tt.held && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := l.Check(own, &task.Outcome{Reads: []task.Read{{Name: "a", Version: 9}}, Writes: []task.Write{{Name: "b", Expected: 2}}}, 1); !errors.Is(err, ErrConflict) {
		t.Errorf("a version that has changed beside a record that is held: %v, want the conflict", err)
	}
	if freed := l.ApplyBranch(noon, task.DeriveID("x")); len(freed) != 2 {
		t.Errorf("freed %v", freed)
	}
	b = durable(t, l)
	op, ok := row(b.Puts, func(r *store.OpLog) bool { return r.Name == "a" })
	if !ok || op.Tx != task.DeriveID("x") || op.TaskID != task.DeriveID("task") || op.Attempt != 2 || op.Before != 1 || op.After != 3 {
		t.Errorf("the op log says %+v", op)
	}
	if r, ok := row(b.Puts, func(r *store.Record) bool { return r.Name == "a" }); !ok || !r.Tx.IsZero() || string(r.Value) != "new a" || r.Version != 3 {
		t.Errorf("the record is %+v", r)
	}
	if n := len(b.Deletes); n != 3 {
		t.Errorf("%d rows were deleted, want two intents and a branch", n)
	}
	if l.ApplyBranch(noon, task.DeriveID("x")) != nil || len(l.InDoubt()) != 0 || len(l.pins) != 0 {
		t.Error("applying twice changes something, or something stays held")
	}
	if err := l.Check(own, &task.Outcome{Writes: []task.Write{{Name: "a", Expected: 3}, {Name: "b", Expected: 2}}}, 1); err != nil {
		t.Error(err)
	}
}

func TestAPrepareMeetsOthersAndGivesUp(t *testing.T) {
	l := shared(t)
	first := []*store.Intent{intent("x", store.IntentPut, "a", 1), intent("x", store.IntentRead, "b", 2)}
	if err := l.Prepare(noon, branchOf("x"), first); err != nil {
		t.Fatal(err)
	}
	if err := l.Prepare(noon, branchOf("x"), first); err != nil {
		t.Errorf("a repeat: %v", err)
	}
	for name, tt := range map[string]struct {
		in   *store.Intent
		want error
	}{
		"a write of what is written": {intent("y", store.IntentPut, "a", 1), ErrPinned},
		"a read of what is written":  {intent("y", store.IntentRead, "a", 1), ErrPinned},
		"a write of what is read":    {intent("y", store.IntentDelete, "b", 2), ErrPinned},
		"an old version":             {intent("y", store.IntentPut, "c", 4), ErrConflict},
	} {
		if err := l.Prepare(noon, branchOf("y"), []*store.Intent{tt.in}); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.in.Name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := l.Prepare(noon, branchOf("y"), []*store.Intent{intent("y", store.IntentRead, "b", 2)}); err != nil {
		t.Errorf("two that read one record: %v", err)
	}
	l.AbortBranch(noon, branchOf("x"))
	if err := l.Prepare(noon, branchOf("z"), []*store.Intent{intent("z", store.IntentPut, "b", 2)}); !errors.Is(err, ErrPinned) {
		t.Errorf("a record that one of two readers still holds: %v", err)
	}
	l.AbortBranch(noon, branchOf("y"))
	if err := l.Prepare(noon, branchOf("z"), []*store.Intent{intent("z", store.IntentPut, "a", 1), intent("z", store.IntentPut, "b", 2)}); err != nil {
		t.Errorf("records that aborted ones gave back: %v", err)
	}
}

func TestALatePrepareFindsTheAbort(t *testing.T) {
	l := shared(t)
	l.AbortBranch(noon, branchOf("x"))
	if err := l.Prepare(noon, branchOf("x"), []*store.Intent{intent("x", store.IntentPut, "a", 1)}); !errors.Is(err, ErrAborted) {
		t.Errorf("after the abort: %v", err)
	}
	b := durable(t, l)
	next := New(Config{Partitions: 1}, b.Next)
	for _, r := range b.Puts {
		if r, ok := r.(*store.Branch); ok {
			next.RestoreBranch(r, nil)
		}
	}
	if err := next.Prepare(noon, branchOf("x"), nil); !errors.Is(err, ErrAborted) {
		t.Errorf("under the next owner: %v", err)
	}
	if n := next.Collect(noon.Add(time.Second), 10); n != 1 {
		t.Errorf("%d aborts were forgotten", n)
	}
	b, _ = next.Seal(noon)
	next.Committed()
	if b.Next.GC != branchOf("x").Began || b.Prev.GC != 0 {
		t.Errorf("the heads are %+v and %+v", b.Prev, b.Next)
	}
	if err := next.Prepare(noon, branchOf("x"), nil); !errors.Is(err, ErrForgotten) {
		t.Errorf("after the abort was forgotten: %v", err)
	}
	later := branchOf("later")
	later.Began++
	if err := next.Prepare(noon, later, nil); err != nil {
		t.Errorf("one that began later: %v", err)
	}
	if next.Collect(noon.Add(time.Second), 10) != 0 {
		t.Error("a prepared branch was forgotten")
	}
}

func TestADecisionIsMadeOnce(t *testing.T) {
	decision := func(state store.TxState, name string) *store.Txn {
		return &store.Txn{Tx: task.DeriveID(name), State: state, Began: task.TimestampAt(noon), Parts: []int{1}}
	}
	l := shared(t)
	if err := l.Decide(noon, decision(store.TxAborted, "x")); err != nil {
		t.Fatal(err)
	}
	if err := l.Decide(noon, decision(store.TxCommitted, "x")); !errors.Is(err, ErrAborted) {
		t.Errorf("a coordinator that wakes after the abort: %v", err)
	}
	if err := l.Decide(noon, decision(store.TxCommitted, "y")); err != nil {
		t.Fatal(err)
	}
	if err := l.Decide(noon, decision(store.TxCommitted, "y")); err != nil {
		t.Errorf("a repeat: %v", err)
	}
	if err := l.Decide(noon, decision(store.TxAborted, "y")); err == nil {
		t.Error("a commit was taken back")
	}
	durable(t, l)
	if got := l.Unconfirmed(); len(got) != 1 || got[0].Tx != task.DeriveID("y") {
		t.Errorf("unconfirmed %v", got)
	}
	l.Forget(task.DeriveID("x")) // an abort is not forgotten so
	if n := l.Collect(noon.Add(time.Second), 10); n != 1 || l.Decision(task.DeriveID("x")) != nil || l.Decision(task.DeriveID("y")) == nil {
		t.Errorf("%d forgotten; a commit goes only when it is confirmed", n)
	}
	if err := l.Decide(noon, decision(store.TxCommitted, "x")); !errors.Is(err, ErrForgotten) {
		t.Errorf("a coordinator that wakes after the abort was forgotten: %v", err)
	}
	l.Forget(task.DeriveID("y"))
	if b := durable(t, l); len(b.Deletes) != 2 || len(l.Unconfirmed()) != 0 {
		t.Errorf("deleted %v", b.Deletes)
	}
}

func TestHeldRecordsAreNotForgotten(t *testing.T) {
	l := New(Config{Partitions: 1, CacheBytes: 1}, store.Fence{Epoch: 1, Seq: 5})
	l.Expect("k")
	l.FillOne("k", "a", &store.Record{Key: "k", Name: "a", Version: 4, Value: []byte("old")})
	if unknown := l.Unknown([]*store.Intent{intent("x", store.IntentPut, "a", 4), intent("x", store.IntentPut, "b", 0)}); len(unknown) != 1 || unknown[0].Name != "b" {
		t.Errorf("unknown %v", unknown)
	}
	if err := l.Prepare(noon, branchOf("x"), []*store.Intent{intent("x", store.IntentPut, "a", 4)}); err != nil {
		t.Fatal(err)
	}
	durable(t, l)
	if !l.KnowsRecord("k", "a") {
		t.Fatal("a held record was forgotten")
	}
	l.ApplyBranch(noon, task.DeriveID("x"))
	if op, ok := row(durable(t, l).Puts, func(*store.OpLog) bool { return true }); !ok || op.Before != 4 {
		t.Errorf("the op log says %+v", op)
	}
	if l.KnowsRecord("k", "a") {
		t.Error("a record that is held no more stays for good")
	}
}

func TestSharesAreOfOtherPartitionsAndOrdered(t *testing.T) {
	const partitions = 4
	l := New(Config{Part: 1, Partitions: partitions}, store.Fence{Epoch: 1})
	var keys []string
	for i := range 40 {
		keys = append(keys, fmt.Sprint("key-", i))
	}
	own := keys[slices.IndexFunc(keys, func(k string) bool { return task.PartitionOf(k, partitions) == 1 })]
	o := task.Outcome{Writes: []task.Write{{Name: "n", Value: []byte("v")}}}
	tk := &task.Task{Key: own}
	if l.Crosses(tk, &o) {
		t.Error("a task's own record crosses")
	}
	for i, key := range keys {
		if i%2 == 0 {
			o.Writes = append(o.Writes, task.Write{Key: key, Name: "w", Expected: uint64(i), Delete: i%4 == 0})
		}
		o.Reads = append(o.Reads, task.Read{Key: key, Name: "w", Version: uint64(i)})
	}
	if !l.Crosses(tk, &o) {
		t.Error("records of other partitions do not cross")
	}
	shares, err := l.Shares(tk, &o, task.DeriveID("x"))
	if err != nil {
		t.Fatal(err)
	}
	last := -1
	for _, s := range shares {
		if s.Part <= last || s.Part == 1 {
			t.Errorf("partition %d follows %d", s.Part, last)
		}
		last = s.Part
		if !slices.IsSortedFunc(s.Intents, func(a, b *store.Intent) int { return strings.Compare(a.Key, b.Key) }) {
			t.Errorf("the intents of partition %d are not in order", s.Part)
		}
		for _, in := range s.Intents {
			if task.PartitionOf(in.Key, partitions) != s.Part || (in.Op == store.IntentRead) != (in.Expected%2 == 1) {
				t.Errorf("partition %d has %+v", s.Part, in)
			}
		}
	}
	o.Reads[0].Version = 77
	o.Reads[1].Version = 77
	o.Reads[2].Version = 77
	o.Reads[4].Version = 77
	o.Reads[6].Version = 77
	if _, err := l.Shares(tk, &o, task.DeriveID("x")); task.CodeOf(err) != task.CodeInvalidArgument {
		t.Errorf("a record that is read at another version than it is written over: %v", err)
	}
}

// TestAbortsCostNothingUntilTheyAreForgotten holds many aborts, and counts what looking
// for old ones and for prepared branches takes: sorting them would need memory.
func TestAbortsCostNothingUntilTheyAreForgotten(t *testing.T) {
	const all = 20_000
	l := New(Config{Partitions: 1}, store.Fence{Epoch: 1})
	at := func(i int) time.Time { return noon.Add(time.Duration(i*7919%all) * time.Second) }
	for i := range all {
		tx := task.DeriveID(strconv.Itoa(i))
		l.AbortBranch(noon, &store.Branch{Tx: tx, Began: task.TimestampAt(at(i))})
		if err := l.Decide(noon, &store.Txn{Tx: tx, State: store.TxAborted, Began: task.TimestampAt(at(i))}); err != nil {
			t.Fatal(err)
		}
	}
	durable(t, l)
	looks := testing.AllocsPerRun(100, func() {
		if l.Collect(noon, 10) != 0 || len(l.InDoubt()) != 0 || len(l.Unconfirmed()) != 0 {
			t.Error("something was forgotten, or is in doubt")
		}
	})
	if looks != 0 {
		t.Errorf("a look takes %v allocations", looks)
	}
	// They go in the order in which they began, those of both kinds, in bounded steps.
	for forgotten := 0; forgotten < 2*all; {
		n := l.Collect(noon.Add(all*time.Second), 300)
		if n == 0 || n > 300 {
			t.Fatalf("%d were forgotten at once", n)
		}
		forgotten += n
		b := durable(t, l)
		if len(b.Deletes) != n || b.Next.GC < b.Prev.GC || forgotten == all && b.Next.GC != task.TimestampAt(noon.Add((all-1)*time.Second)) {
			t.Fatalf("%d rows are deleted, up to %v", len(b.Deletes), b.Next.GC)
		}
	}
	if len(l.undone.began)+len(l.undone.queue)+len(l.givenUp.began)+len(l.givenUp.queue) != 0 {
		t.Error("something is left")
	}
}
