package partition

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/storefake"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/txn"
)

// table is a world without faults of its own: a test holds messages back, ends owners
// and lets time pass.
type table struct {
	*txnWorld
	t       *testing.T
	held    []txn.Kind
	home    string // an account whose partition is home of change
	away    string // one of another partition
	beside  string // one more of that
	results []error
}

func newTable(t *testing.T) *table {
	t.Helper()
	x := &table{t: t, txnWorld: &txnWorld{
		rng: rand.New(rand.NewPCG(1, 1)), ends: map[string]error{}, known: map[string][]string{}, txns: map[string]*txnEffect{},
		store: storefake.New(storefake.Config{}),
	}}
	x.build()
	x.clients = nil
	x.healed = true
	for _, a := range x.keys {
		for _, b := range x.keys {
			for _, c := range x.keys {
				if a < b && b != c && a != c && x.of(a) != x.of(b) && x.of(b) == x.of(c) {
					x.home, x.away, x.beside = a, b, c
				}
			}
		}
	}
	if x.home == "" {
		t.Fatal("the accounts lie badly")
	}
	return x
}

// change moves money from home to away by a commit.
func (x *table) change() {
	req := Commit{ID: task.DeriveID("change"), Writes: []task.Write{
		{Key: x.home, Name: "balance", Expected: x.version(x.home), Value: encodeBalance(90, "change")},
		{Key: x.away, Name: "balance", Expected: x.version(x.away), Value: encodeBalance(110, "change")},
	}}
	req.normalize()
	x.of(x.home).mail.post(func(c *core, now time.Time) {
		c.commit(now, &req, now.Add(commitPatience), func(_ CommitResult, err error) { x.results = append(x.results, err) })
	})
}

func (x *table) version(key string) uint64 { return x.record(key).Version }

// record is what is stored.
func (x *table) record(key string) *store.Record {
	rows, err := x.store.Get(x.t.Context(), task.PartitionOf(key, txnPartitions), []store.Row{&store.Record{Key: key, Name: "balance"}})
	x.must(err)
	return rows[0].(*store.Record)
}

// run does all that can be done while some messages are held back.
func (x *table) run() {
	x.t.Helper()
	for range 1000 {
		did := false
		for _, o := range x.all() {
			did = o.pump() || did
			did = o.work() || did
		}
		did = x.store.Sync() > 0 || did
		for i, m := range x.net {
			if !slices.Contains(x.held, m.Kind) {
				x.net[0], x.net[i] = x.net[i], x.net[0]
				x.deliver()
				did = true
				break
			}
		}
		if !did {
			return
		}
	}
	x.t.Fatal("it goes on and on")
}

// wait lets time pass.
func (x *table) wait(d time.Duration) {
	x.t.Helper()
	for range int(d / (100 * time.Millisecond)) {
		x.pass(100 * time.Millisecond)
		x.run()
	}
}

// want holds what the two accounts are, and that nothing is left of a transaction.
func (x *table) want(home, away int) {
	x.t.Helper()
	for key, want := range map[string]int{x.home: home, x.away: away} {
		if have := decodeBalance(x.txnWorld, x.record(key).Value).Amount; have != want {
			x.t.Errorf("%s has %d, want %d", key, have, want)
		}
	}
	for part, o := range x.owners {
		for _, row := range x.table(part, store.TableBranch) {
			if b := row.(*store.Branch); b.State != store.TxAborted {
				x.t.Errorf("partition %d has branch %+v", part, b)
			}
		}
		if rows := x.table(part, store.TableIntent); len(rows) > 0 || o.core.transacting() {
			x.t.Errorf("partition %d has %d intents, or something waits", part, len(rows))
		}
	}
}

func (x *table) table(part int, name store.Table) []store.Row { return x.txnWorld.table(part, name) }

func TestAnOwnerThatComesBetweenPrepareAndDecisionInheritsTheIntents(t *testing.T) {
	x := newTable(t)
	x.held = []txn.Kind{txn.Voted}
	x.change()
	x.run()
	old := x.of(x.away)
	x.claim(old.part)
	old.stop()
	if len(x.of(x.away).core.led.InDoubt()) != 1 {
		t.Fatal("the new owner does not know the branch")
	}
	x.run() // it asks home, which has not decided
	x.held = nil
	x.run()
	if len(x.results) != 1 || x.results[0] != nil {
		t.Errorf("results %v", x.results)
	}
	x.want(90, 110)
}

func TestWhileHomeIsDownOnlyTheHeldRecordsWait(t *testing.T) {
	x := newTable(t)
	x.held = []txn.Kind{txn.Voted}
	x.change()
	x.run()
	home := x.of(x.home)
	home.stop()
	answers := map[string]error{}
	write := func(key string) {
		w := &task.Write{Key: key, Name: "balance", Expected: x.version(key), Value: encodeBalance(100, "put "+key)}
		x.of(key).mail.post(func(c *core, now time.Time) {
			c.putRecord(now, w, false, func(_ uint64, err error) { answers["put "+key] = err })
		})
	}
	get := func(key string) {
		x.of(key).mail.post(func(c *core, now time.Time) {
			c.getRecord(now, key, "balance", func(_ task.Record, err error) { answers["get "+key] = err })
		})
	}
	write(x.away)
	get(x.away)
	write(x.beside)
	get(x.beside)
	x.run()
	if err, ok := answers["put "+x.beside]; !ok || err != nil {
		t.Errorf("a write beside the held record: %v", answers)
	}
	if err, ok := answers["get "+x.beside]; !ok || err != nil || len(answers) != 2 {
		t.Errorf("answers %v: only the held record waits", answers)
	}
	x.wait(pinPatience + time.Second)
	for _, what := range []string{"put " + x.away, "get " + x.away} {
		if err, ok := answers[what]; !ok || task.CodeOf(err) != task.CodeUnavailable {
			t.Errorf("%s while home does not come back: %v (%v)", what, err, ok)
		}
	}
	delete(answers, "get "+x.away)
	x.net = nil
	x.claim(home.part)
	get(x.away)
	x.wait(2 * time.Second)
	if err, ok := answers["get "+x.away]; !ok || err != nil {
		t.Errorf("a read after home is back: %v (%v)", err, ok)
	}
	x.want(100, 100)
}

func TestACoordinatorThatWakesAfterTheAbortIsRefused(t *testing.T) {
	x := newTable(t)
	x.held = []txn.Kind{txn.Voted}
	x.change()
	x.run()
	old, vote := x.of(x.home), x.net[slices.IndexFunc(x.net, func(m txn.Message) bool { return m.Kind == txn.Voted })]
	x.net = nil
	x.claim(old.part) // the old owner is not told
	tx := vote.Tx
	row := x.of(x.away).core.led.Prepared(tx)
	x.of(x.away).mail.post(func(c *core, now time.Time) { c.ask(now, row) })
	x.run()
	x.want(100, 100)
	if d := x.of(x.home).core.led.Decision(tx); d == nil || d.State != store.TxAborted {
		t.Fatalf("home has decided %+v", d)
	}
	old.mail.post(func(c *core, now time.Time) { c.hear(now, vote) })
	x.run()
	if !old.gone || len(x.results) != 0 {
		t.Errorf("the old owner has committed: results %v", x.results)
	}
	x.want(100, 100)
	// The same for a new owner that is told to decide what it has aborted.
	x.of(x.home).mail.post(func(c *core, now time.Time) {
		err := c.led.Decide(now, &store.Txn{Tx: tx, State: store.TxCommitted, Began: vote.Began})
		if err == nil || !mayPass(err) {
			t.Errorf("a second decision: %v", err)
		}
	})
	x.run()
	x.pass(keepAborted + time.Minute)
	x.wait(2 * time.Second)
	for part := range x.owners {
		x.owners[part].mail.post(func(c *core, now time.Time) { c.recover(now) })
	}
	x.run()
	x.of(x.home).mail.post(func(c *core, now time.Time) {
		if c.led.Decision(tx) != nil {
			t.Error("an old abort is not forgotten")
		}
		if err := c.led.Decide(now, &store.Txn{Tx: tx, State: store.TxCommitted, Began: vote.Began}); err == nil {
			t.Error("a forgotten transaction was decided again")
		}
	})
	x.run()
}

func TestALatePrepareIsRefusedOrCleaned(t *testing.T) {
	t.Run("after the abort", func(t *testing.T) {
		x := newTable(t)
		x.held = []txn.Kind{txn.Prepare}
		x.change()
		x.run()
		x.wait(decideWithin + time.Second) // home gives up, and tries again
		x.held = nil
		x.run()
		if len(x.results) == 1 && x.results[0] != nil && !errors.Is(x.results[0], errSlow) {
			t.Errorf("results %v", x.results)
		}
		x.wait(2 * time.Second)
		if len(x.results) == 1 && x.results[0] == nil {
			x.want(90, 110)
			return
		}
		x.want(100, 100)
	})
	t.Run("after home has died", func(t *testing.T) {
		x := newTable(t)
		x.held = []txn.Kind{txn.Prepare}
		x.change()
		x.run()
		home := x.of(x.home)
		home.stop()
		x.claim(home.part)
		x.held = nil
		x.run()
		if len(x.of(x.away).core.led.InDoubt()) != 1 {
			t.Fatal("the late prepare was not taken")
		}
		x.wait(decideWithin + 2*time.Second)
		x.want(100, 100)
	})
}

// TestACommitIsRememberedWhateverTheClockDoes lets nobody hear of a decision, sets the
// clock a year ahead, and lets everybody look for what is old enough to be forgotten.
func TestACommitIsRememberedWhateverTheClockDoes(t *testing.T) {
	x := newTable(t)
	x.held = []txn.Kind{txn.Apply, txn.Ask}
	x.change()
	x.run()
	x.pass(365 * 24 * time.Hour)
	for range 3 {
		for part := range x.owners {
			x.owners[part].mail.post(func(c *core, now time.Time) { c.recover(now) })
		}
		x.run()
		x.claim(x.of(x.home).part) // what it has forgotten is forgotten for good
	}
	if len(x.of(x.away).core.led.InDoubt()) != 1 || len(x.of(x.home).core.led.Unconfirmed()) != 1 {
		t.Fatal("the decision is not waited for, or not known any more")
	}
	x.held = nil
	x.wait(3 * time.Second)
	x.want(90, 110)
}

// TestPartitionsWhoseClockWasAheadTakeTransactionsOfOthers lets one partition forget an
// abort while its clock is a day ahead, and sets the clock right: what others begin
// from then on is not too old for it.
func TestPartitionsWhoseClockWasAheadTakeTransactionsOfOthers(t *testing.T) {
	x := newTable(t)
	ahead := x.Now().Add(24 * time.Hour)
	x.of(x.away).mail.post(func(c *core, _ time.Time) {
		row := &store.Branch{Tx: task.DeriveID("old"), Home: x.of(x.home).part, Began: task.TimestampAt(ahead)}
		c.led.AbortBranch(ahead, row)
		if c.led.Collect(ahead.Add(time.Hour), 10) != 1 {
			t.Error("the abort is not forgotten")
		}
		c.press()
	})
	x.run()
	x.change()
	x.run()
	x.wait(3 * time.Second)
	x.want(90, 110)
}
