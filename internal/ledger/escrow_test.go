package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// declare makes record stock of key k a counter, by a commit of its own.
func declare(t *testing.T, l *Ledger, c task.Counter) {
	t.Helper()
	o := &task.Outcome{Writes: []task.Write{{Key: "k", Name: "stock", Expected: l.Record("k", "stock").Version, Escrow: task.EscrowDeclare, Value: c.Append(nil)}}}
	if err := l.Check(&task.Task{}, o, 0); err != nil {
		t.Fatal(err)
	}
	l.Apply(noon, Author{}, &task.Task{}, o)
}

func counting(t *testing.T, c task.Counter) *Ledger {
	t.Helper()
	l := New(Config{Partitions: 1, Node: "node"}, store.Fence{Epoch: 1})
	declare(t, l, c)
	durable(t, l)
	return l
}

func addition(delta int64) *task.Outcome {
	return &task.Outcome{Writes: []task.Write{{Key: "k", Name: "stock", Escrow: task.EscrowAdd, Delta: delta}}}
}

// add adds within the partition.
func add(l *Ledger, delta int64) error {
	err := l.Check(&task.Task{}, addition(delta), 0)
	if err == nil {
		l.Apply(noon, Author{}, &task.Task{}, addition(delta))
	}
	return err
}

// prepareAdd is a transaction of another home that adds.
func prepareAdd(l *Ledger, name string, delta int64) error {
	return l.Prepare(noon, branchOf(name), []*store.Intent{{Tx: task.DeriveID(name), Key: "k", Name: "stock", Op: store.IntentAdd, Delta: delta}})
}

func wantCounter(t *testing.T, l *Ledger, want string) {
	t.Helper()
	if r := l.Record("k", "stock"); string(r.Value) != want || !r.Escrow {
		t.Errorf("the record is %s (escrow %v), want %s", r.Value, r.Escrow, want)
	}
}

func TestUndecidedAdditionsReserveWhatTheyMayTake(t *testing.T) {
	l := counting(t, task.Counter{Value: 10, Max: 12})
	for i, delta := range []int64{-4, -4, 2} {
		if err := prepareAdd(l, fmt.Sprint(i), delta); err != nil {
			t.Fatal(err)
		}
	}
	if r := l.Record("k", "stock"); r.ReservedLow != -8 || r.ReservedHigh != 2 {
		t.Errorf("reserved %d and %d", r.ReservedLow, r.ReservedHigh)
	}
	for _, tt := range []struct {
		delta         int64
		pinned, bound bool
	}{
		{-2, false, false},
		{-3, true, false},    // 10 is enough, but 8 may go
		{-12, true, false},   // enough only if the 2 come
		{-13, false, true},   // no outcome makes it enough
		{1, true, false},     // too much only if the 2 come
		{10, true, false},    // fits only if the 8 go
		{11, false, true},    // never fits
		{1e16, false, false}, // cannot be added at all
	} {
		err := l.Check(&task.Task{}, addition(tt.delta), 0)
		var c *ConflictError
		bound := errors.As(err, &c) && c.Bound
		if errors.Is(err, ErrPinned) != tt.pinned || bound != tt.bound || errors.Is(err, ErrConflict) != tt.bound {
			t.Errorf("add %d: %v, want pinned %v, bound %v", tt.delta, err, tt.pinned, tt.bound)
		}
		if tt.delta == -2 && err != nil {
			t.Errorf("add -2: %v", err)
		}
	}
	if freed := l.AbortBranch(noon, branchOf("0")); len(freed) != 1 {
		t.Errorf("the abort freed %v", freed)
	}
	l.ApplyBranch(noon, task.DeriveID("1"))
	if err := add(l, -6); err != nil {
		t.Errorf("what the abort gave back is not there: %v", err)
	}
	l.ApplyBranch(noon, task.DeriveID("2"))
	wantCounter(t, l, `{"value":2,"min":0,"max":12}`)
	b := durable(t, l)
	if r, ok := row(b.Puts, func(r *store.OpLog) bool { return r.Tx == task.DeriveID("1") }); !ok || r.Op != store.OpEscrow || string(r.Value) != `{"value":6,"min":0,"max":12}` || r.Before == 0 {
		t.Errorf("the op log has %+v", r)
	}
	if r, ok := row(b.Puts, func(r *store.Record) bool { return r.Name == "stock" }); !ok || !r.Escrow || !r.Tx.IsZero() {
		t.Errorf("the record is %+v", r)
	}
	if r := l.Record("k", "stock"); r.ReservedLow != 0 || r.ReservedHigh != 0 || len(l.pins) != 0 {
		t.Errorf("left reserved: %+v", r)
	}
}

func TestACounterRefusesWhatIsNotForIt(t *testing.T) {
	l := counting(t, task.Counter{Value: 5, Max: task.MaxCounter})
	if _, err := l.Write(noon, &task.Write{Key: "k", Name: "plain", Value: []byte("1")}, false); err != nil {
		t.Fatal(err)
	}
	at := l.Record("k", "stock").Version
	for name, w := range map[string]task.Write{
		"a put":                             {Name: "stock", Expected: at, Value: []byte("7")},
		"a delete":                          {Name: "stock", Expected: at, Delete: true},
		"an addition to a plain one":        {Name: "plain", Escrow: task.EscrowAdd, Delta: 1},
		"an addition to none":               {Name: "none", Escrow: task.EscrowAdd, Delta: 1},
		"a counter's delete of a plain one": {Name: "plain", Expected: l.Record("k", "plain").Version, Escrow: task.EscrowDeclare, Delete: true},
	} {
		w.Key = "k"
		if err := l.Check(&task.Task{}, &task.Outcome{Writes: []task.Write{w}}, 0); task.CodeOf(err) != task.CodeFailedPrecondition {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := l.Write(noon, &task.Write{Key: "k", Name: "stock", Value: []byte("7")}, true); task.CodeOf(err) != task.CodeFailedPrecondition {
		t.Errorf("a direct put: %v", err)
	}
	for _, op := range []store.IntentOp{store.IntentPut, store.IntentDelete} {
		if err := l.Prepare(noon, branchOf("x"), []*store.Intent{intent("x", op, "stock", at)}); task.CodeOf(err) != task.CodeFailedPrecondition {
			t.Errorf("%s by a transaction: %v", op, err)
		}
	}
	if err := l.Check(&task.Task{}, &task.Outcome{Writes: []task.Write{{Key: "k", Name: "new", Escrow: task.EscrowDeclare, Value: []byte(`{"value":1,"min":2}`)}}}, 0); task.CodeOf(err) != task.CodeInvalidArgument {
		t.Errorf("a counter beyond its bounds: %v", err)
	}
	wantCounter(t, l, `{"value":5,"min":0}`)
}

func TestReadersAndDeclarationsWaitForUndecidedAdditions(t *testing.T) {
	l := counting(t, task.Counter{Value: 5, Max: task.MaxCounter})
	at := l.Record("k", "stock").Version
	if err := prepareAdd(l, "x", -1); err != nil {
		t.Fatal(err)
	}
	anew := task.Write{Key: "k", Name: "stock", Expected: at, Escrow: task.EscrowDeclare, Value: task.Counter{Value: 9, Max: 9}.Append(nil)}
	for name, o := range map[string]*task.Outcome{
		"a read":        {Reads: []task.Read{{Key: "k", Name: "stock", Version: at}}},
		"a declaration": {Writes: []task.Write{anew}},
	} {
		if err := l.Check(&task.Task{}, o, 0); !errors.Is(err, ErrPinned) {
			t.Errorf("%s: %v", name, err)
		}
	}
	reads := []*store.Intent{{Tx: task.DeriveID("y"), Key: "k", Name: "stock", Op: store.IntentRead, Expected: at}}
	if err := l.Prepare(noon, branchOf("y"), reads); !errors.Is(err, ErrPinned) {
		t.Errorf("a transaction that reads: %v", err)
	}
	l.AbortBranch(noon, branchOf("x"))
	if err := l.Prepare(noon, branchOf("z"), []*store.Intent{{Tx: task.DeriveID("z"), Key: "k", Name: "stock", Op: store.IntentAdd, Expected: at, Delta: 1}}); err != nil {
		t.Errorf("to add to what was read: %v", err)
	}
	if err := add(l, 1); !errors.Is(err, ErrPinned) {
		t.Errorf("beside one who read it: %v", err)
	}
}

// TestACounterStaysWithinItsBoundsWhateverIsDecided runs additions whose
// transactions are decided in any order, across owners; it also runs them without
// reservations, which has to show.
func TestACounterStaysWithinItsBoundsWhateverIsDecided(t *testing.T) {
	for forgets, wrong := range map[bool]int{false: 0, true: 0} {
		for seed := range uint64(300) {
			if !decideAtRandom(t, seed, forgets) {
				wrong++
			}
		}
		if forgets != (wrong > 0) {
			t.Errorf("reservations are forgotten %v: %d of 300 seeds left the bounds", forgets, wrong)
		}
	}
}

// decideAtRandom reports whether the counter was always within its bounds and the sum
// of what was committed.
func decideAtRandom(t *testing.T, seed uint64, forgets bool) bool {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 3))
	c := task.Counter{Value: rng.Int64N(20), Max: 20}
	l := counting(t, c)
	sum := c.Value
	open := map[string]int64{}
	for i := range 200 {
		name, delta := fmt.Sprint(i), rng.Int64N(9)-4
		switch n := rng.IntN(10); {
		case n < 5 && delta != 0:
			if prepareAdd(l, name, delta) == nil {
				open[name] = delta
			}
			if p := l.pins[RecordKey{"k", "stock"}]; forgets && p != nil {
				p.adds.low, p.adds.high = 0, 0
			}
		case n < 6 && delta != 0:
			if add(l, delta) == nil {
				sum += delta
			}
		case n < 9:
			for _, tx := range sortedNames(open) {
				if rng.IntN(2) == 0 {
					l.ApplyBranch(noon, task.DeriveID(tx))
					sum += open[tx]
				} else {
					l.AbortBranch(noon, branchOf(tx))
				}
				delete(open, tx)
				break
			}
		default:
			l = successor(t, l)
		}
		got, err := task.ParseCounter(l.Record("k", "stock").Value)
		if got.Value != sum {
			t.Fatalf("seed %d: the value is %d, and %d was committed", seed, got.Value, sum)
		}
		if err != nil {
			return false
		}
	}
	return true
}

func sortedNames(open map[string]int64) []string {
	var names []string
	for i := range 200 {
		if _, ok := open[fmt.Sprint(i)]; ok {
			names = append(names, fmt.Sprint(i))
		}
	}
	return names
}

// successor is a ledger of the same partition that knows what is stored.
func successor(t *testing.T, l *Ledger) *Ledger {
	t.Helper()
	next := New(Config{Partitions: 1, Node: "other"}, store.Fence{Epoch: l.head.Epoch + 1, Seq: l.head.Seq, HLC: l.head.HLC, Chain: l.head.Chain})
	r := l.Record("k", "stock")
	next.Expect("k")
	next.FillOne("k", "stock", &store.Record{Key: "k", Name: "stock", Version: r.Version, Value: r.Value, UpdatedAt: r.UpdatedAt, Escrow: r.Escrow})
	for _, tx := range sortedIDs(l.branches) {
		next.RestoreBranch(l.branches[tx].row, l.branches[tx].intents)
	}
	return next
}

// TestUndecidedTransactionsOnOneCounterAllProceed counts who has to come again: of
// those that put a hot record all but one, of those that add to it none.
func TestUndecidedTransactionsOnOneCounterAllProceed(t *testing.T) {
	const all = 100
	l := counting(t, task.Counter{Value: all, Max: task.MaxCounter})
	at, err := l.Write(noon, &task.Write{Key: "k", Name: "a", Value: []byte("100")}, false)
	if err != nil {
		t.Fatal(err)
	}
	puts, adds := 0, 0
	for i := range all {
		if l.Prepare(noon, branchOf(fmt.Sprint("put ", i)), []*store.Intent{intent(fmt.Sprint("put ", i), store.IntentPut, "a", at)}) != nil {
			puts++
		}
		if prepareAdd(l, fmt.Sprint(i), -1) != nil {
			adds++
		}
	}
	if puts != all-1 || adds != 0 {
		t.Errorf("of %d that put %d conflicted, of those that add %d", all, puts, adds)
	}
	for i := range all {
		l.ApplyBranch(noon, task.DeriveID(fmt.Sprint(i)))
	}
	wantCounter(t, l, `{"value":0,"min":0}`)
}

func TestALeaseAddsUpAndItsReadsAreChecked(t *testing.T) {
	l := counting(t, task.Counter{Value: 3, Max: task.MaxCounter})
	tk := &task.Task{Key: "k"}
	sell := &task.Outcome{Writes: []task.Write{{Name: "stock", Escrow: task.EscrowAdd, Delta: -1}}}
	for i := range 3 {
		if err := l.Check(tk, sell, 7); err != nil {
			t.Fatalf("sale %d: %v", i, err)
		}
		l.Apply(noon, Author{Token: 7}, tk, sell)
	}
	err := l.Check(tk, sell, 7)
	if c, ok := errors.AsType[*ConflictError](err); !ok || !c.Bound || !errors.Is(err, ErrConflict) {
		t.Errorf("a sale of what is not there: %v", err)
	}
	guess := &task.Outcome{Reads: []task.Read{{Name: "stock", Chained: true}}}
	if err := l.Check(tk, guess, 7); !errors.Is(err, ErrConflict) {
		t.Errorf("a read that builds on an addition of the lease: %v, but others may have added too", err)
	}
}
