package partition

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/storefake"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/txn"
)

// The world of the simulation of transactions.
const (
	txnPartitions = 3
	txnAccounts   = 7
	txnOpening    = 100
)

// balance is the value of an account's record.
type balance struct {
	Amount int    `json:"amount"`
	By     string `json:"by"` // the change that made it
}

// txnWorld is partitions, a store, the messages between them, and clients, in one
// goroutine.
type txnWorld struct {
	seed     uint64
	mutant   txnMutant
	rng      *rand.Rand
	ticks    time.Duration
	offset   time.Duration
	latest   time.Time
	timers   []*simTimer
	store    *storefake.Store
	engine   *Engine
	owners   [txnPartitions]*txnOwner // nil: nobody
	zombies  []*txnOwner              // replaced, and not aware of it
	net      []txn.Message
	clients  []*txnClient
	keys     []string
	healed   bool
	serial   int
	known    map[string][]string // by account: changes that were confirmed, in the order of confirmation
	ends     map[string]error    // by change: nil is committed
	reads    []txnRead
	txns     map[string]*txnEffect
	stripped txnStripped
	tally    txnTally
	trace    strings.Builder
}

// txnRead is a plain read, to be judged at the end.
type txnRead struct {
	key     string
	version uint64
	by      string
	after   []string // changes of the account that were confirmed before it began
}

// txnEffect is what a commit that was confirmed read and wrote.
type txnEffect struct {
	reads  []task.Read
	writes []string
}

// simulateTxns runs one seed.
func simulateTxns(seed uint64, m txnMutant) (w *txnWorld, err error) {
	w = &txnWorld{
		seed: seed, mutant: m, rng: rand.New(rand.NewPCG(seed, 77)), ends: map[string]error{}, known: map[string][]string{}, txns: map[string]*txnEffect{}, stripped: txnStripped{},
		store: storefake.New(storefake.Config{Seed: seed, KeepSome: seed%2 == 0}),
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case violation:
			err = r
		default:
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	w.build()
	for range 3000 {
		w.step()
	}
	w.heal()
	w.settle()
	w.judge()
	return w, nil
}

func (w *txnWorld) logf(format string, args ...any) {
	fmt.Fprintf(&w.trace, "%v ", w.ticks)
	fmt.Fprintf(&w.trace, format, args...)
	w.trace.WriteByte('\n')
}

func (w *txnWorld) story() string { return w.trace.String() }

func (w *txnWorld) chance(n int) bool {
	return !w.healed && w.mutant != txnForgetsAdds && w.rng.IntN(n) == 0
}

func (w *txnWorld) must(err error) {
	if err != nil {
		w.failf("unexpected: %v", err)
	}
}

// Now implements clock.Clock.
func (w *txnWorld) Now() time.Time {
	return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(w.ticks + w.offset)
}

// AfterFunc implements clock.Clock.
func (w *txnWorld) AfterFunc(d time.Duration, f func()) clock.Timer {
	t := &simTimer{at: w.ticks + d, f: f}
	w.timers = append(w.timers, t)
	return t
}

func (w *txnWorld) pass(d time.Duration) {
	w.ticks += d
	if now := w.Now(); now.After(w.latest) {
		w.latest = now
	}
	timers := w.timers
	w.timers = nil
	for _, t := range timers {
		switch {
		case t.stopped:
		case t.at <= w.ticks:
			t.stopped = true
			t.f()
		default:
			w.timers = append(w.timers, t)
		}
	}
}

func (w *txnWorld) build() {
	w.engine = &Engine{
		cfg: Config{
			Partitions: txnPartitions, Broker: newMemBroker(), Store: w.store, Clock: w, Logger: slog.New(slog.DiscardHandler), Node: "node",
			Window: broker.Limit{Tasks: 10, Bytes: 1 << 20},
		},
		counts: newCounters(prometheus.NewRegistry()),
	}
	w.engine.queues.Store(&map[string]*registered{})
	for i := 0; len(w.keys) < txnAccounts; i++ {
		w.keys = append(w.keys, fmt.Sprint("account-", i))
	}
	for part := range txnPartitions {
		w.claim(part)
	}
	for _, key := range w.keys {
		opening := &task.Write{Key: key, Name: "balance", Value: encodeBalance(txnOpening, "opening")}
		w.of(key).mail.post(func(c *core, now time.Time) {
			c.putRecord(now, opening, false, func(_ uint64, err error) { w.must(err) })
		})
	}
	w.openStocks()
	w.healed = true
	for w.active() {
	}
	w.healed = false
	for i := range 4 {
		w.clients = append(w.clients, &txnClient{w: w, name: fmt.Sprint("client-", i)})
	}
}

func encodeBalance(amount int, by string) []byte {
	b, err := json.Marshal(balance{amount, by})
	if err != nil {
		panic(err)
	}
	return b
}

func decodeBalance(w *txnWorld, value []byte) balance {
	var b balance
	w.must(json.Unmarshal(value, &b))
	return b
}

// of returns who owns a key's partition, or nil.
func (w *txnWorld) of(key string) *txnOwner { return w.owners[task.PartitionOf(key, txnPartitions)] }

// txnOwner is a real ownership whose goroutines are the world's turns.
type txnOwner struct {
	*ownership
	w     *txnWorld
	inbox []event
	gone  bool
}

func (w *txnWorld) claim(part int) {
	fence, err := w.store.Claim(context.Background(), part, 0)
	w.must(err)
	w.tally.claims++
	o := &txnOwner{w: w}
	o.ownership = (&owner{e: w.engine, part: part, log: slog.New(slog.DiscardHandler)}).newOwnership()
	o.start = func(func(context.Context)) {}
	now := w.Now()
	led := ledger.New(ledger.Config{Part: part, Partitions: txnPartitions, Node: "node", CacheBytes: 1 + w.rng.IntN(3000)}, fence)
	o.core = newCore(coreConfig{Part: part, Partitions: txnPartitions, Window: w.engine.cfg.Window, Seed: w.seed}, o, led, now, w.engine.counts)
	w.logf("claim %d epoch %d", part, fence.Epoch)
	if old := w.owners[part]; old != nil {
		w.zombies = append(w.zombies, old)
	}
	w.owners[part] = o
	w.must(o.restore(context.Background(), now))
}

// Tell implements env: messages take their time, and some get lost.
func (o *txnOwner) Tell(m txn.Message) bool {
	w := o.w
	if w.owners[m.To] == nil {
		return false
	}
	w.logf("%d tells %d: %s %s %v", m.From, m.To, m.Kind, m.Tx, m.Err)
	switch {
	case w.chance(25):
		w.logf("lost")
		w.tally.lost++
		return true
	case w.chance(25):
		w.net = append(w.net, m)
		w.logf("twice")
	}
	w.net = append(w.net, m)
	return true
}

// deliver hands one message over.
func (w *txnWorld) deliver() {
	i := 0
	if w.chance(3) {
		i = w.rng.IntN(len(w.net))
	}
	m := w.net[i]
	w.net = slices.Delete(w.net, i, i+1)
	o := w.owners[m.To]
	if o == nil {
		return
	}
	w.mutate(o, &m)
	o.mail.post(func(c *core, now time.Time) { c.hear(now, m) })
}

// mutate breaks a rule.
func (w *txnWorld) mutate(o *txnOwner, m *txn.Message) {
	switch {
	case w.mutant == txnHalf && m.Kind == txn.Apply && w.rng.IntN(10) == 0:
		w.net = append(w.net, txn.Message{Kind: txn.Applied, Tx: m.Tx, From: m.To, To: m.From, Began: m.Began})
		m.Kind = txn.Undecided
	case w.mutant == txnNoReads && m.Kind == txn.Prepare:
		m.Intents = slices.DeleteFunc(slices.Clone(m.Intents), func(in *store.Intent) bool { return in.Op == store.IntentRead })
	case w.mutant == txnNoVersions && m.Kind == txn.Prepare:
		intents := m.Intents
		m.Intents = nil
		for _, in := range intents {
			loose := *in
			loose.Expected = o.core.led.Record(in.Key, in.Name).Version
			m.Intents = append(m.Intents, &loose)
		}
	case w.mutant == txnLies && m.Kind == txn.Apply && w.rng.IntN(10) == 0:
		m.Kind = txn.Abort
	case w.mutant == txnForgetsAdds:
		w.strip(o, m)
	case w.mutant == txnTellsEarly && m.Kind == txn.Undecided:
		m.Kind = txn.Apply
	case w.mutant == txnForgetsVotes && m.Kind == txn.Voted && m.Err == nil:
		if t := o.core.txns[m.Tx]; t != nil {
			for _, s := range t.Plan().Shares {
				t.Vote(s.Part, nil)
			}
			o.mail.post(func(c *core, now time.Time) {
				if t.Ready() && c.txns[m.Tx] == t {
					t.decide(now)
				}
			})
		}
	}
}

// pump is a turn of the owner's loop.
func (o *txnOwner) pump() bool {
	woken := len(o.inbox) > 0
	select {
	case <-o.mail.wake:
		woken = true
	default:
	}
	if !woken || o.gone {
		return false
	}
	o.inbox = append(o.inbox, o.mail.take(nil)...)
	n := len(o.inbox)
	if !o.w.healed && n > 0 {
		n = 1 + o.w.rng.IntN(n)
	}
	now := o.w.Now()
	events := slices.Clone(o.inbox[:n])
	o.inbox = slices.Clone(o.inbox[n:])
	for _, ev := range events {
		ev(o.core, now)
		if o.failed != nil {
			o.w.logf("owner of %d stops: %v", o.part, o.failed)
			o.stop()
			return true
		}
	}
	o.core.turn(now, o.commit)
	o.arm(now)
	return true
}

func (o *txnOwner) stop() {
	if o.gone {
		return
	}
	o.gone = true
	o.mail.close()
	if o.timer != nil {
		o.timer.Stop()
	}
	o.core.abandon()
	if o.w.owners[o.part] == o {
		o.w.owners[o.part] = nil
	}
	o.w.zombies = slices.DeleteFunc(o.w.zombies, func(z *txnOwner) bool { return z == o })
	for _, c := range o.w.clients {
		c.lost(o)
	}
}

func (o *txnOwner) commit(b store.Batch) {
	w := o.w
	w.logf("part %d commits seq %d to %d: %d puts, %d deletes", o.part, b.Prev.Seq, b.Next.Seq, len(b.Puts), len(b.Deletes))
	answer := func(err error) {
		o.mail.post(func(c *core, now time.Time) {
			if err != nil {
				o.failed = err
				return
			}
			c.committed(now)
		})
	}
	unsure, early := w.chance(150), w.mutant == txnEarly
	w.must(w.store.Start([]store.Batch{b}, func(err error) {
		if !unsure && !early {
			answer(err)
		}
	}))
	switch {
	case unsure:
		w.logf("part %d does not know", o.part)
		answer(errInjected)
	case early:
		answer(nil)
	}
}

// work runs one job of an owner.
func (o *txnOwner) work() bool {
	if o.gone || len(o.jobs.queue) == 0 {
		return false
	}
	f := o.jobs.queue[0]
	o.jobs.queue = o.jobs.queue[1:]
	o.w.must(f(context.Background()))
	return true
}

// all are the owners that run, also those that were replaced.
func (w *txnWorld) all() (all []*txnOwner) {
	for _, o := range w.owners {
		if o != nil {
			all = append(all, o)
		}
	}
	return append(all, w.zombies...)
}

func (w *txnWorld) step() {
	w.pass(time.Duration(w.rng.IntN(8)) * time.Millisecond)
	all := w.all()
	switch n := w.rng.IntN(100); {
	case n < 2:
		if w.chance(8) {
			w.trouble()
		}
	case n < 40:
		if len(all) > 0 {
			o := all[w.rng.IntN(len(all))]
			o.pump()
			w.tally.waits += min(len(o.core.waiters), 1)
		}
	case n < 50:
		if len(all) > 0 {
			all[w.rng.IntN(len(all))].work()
		}
	case n < 65:
		w.store.SyncOldest(1 + w.rng.IntN(3))
	case n < 80:
		if len(w.net) > 0 {
			w.deliver()
		}
	case n < 97:
		w.clients[w.rng.IntN(len(w.clients))].step()
	case n < 99:
		w.claimMissing()
	default:
		w.pass(time.Duration(w.rng.IntN(3000)) * time.Millisecond)
	}
}

// trouble is a fault.
func (w *txnWorld) trouble() {
	switch w.rng.IntN(10) {
	case 0:
		w.logf("crash")
		w.tally.crashes++
		for _, o := range w.all() {
			o.stop()
		}
		w.net = nil
		w.store.Crash()
	case 1, 2:
		if o := w.owners[w.rng.IntN(txnPartitions)]; o != nil {
			w.logf("owner of %d dies", o.part)
			o.stop()
		}
	case 3, 4:
		w.claim(w.rng.IntN(txnPartitions))
	case 5:
		w.offset += []time.Duration{time.Minute, -time.Minute, time.Hour, -time.Hour}[w.rng.IntN(4)]
		w.logf("the clock jumps to %v", w.Now())
	}
}

func (w *txnWorld) claimMissing() (did bool) {
	for part, o := range w.owners {
		if o == nil {
			w.claim(part)
			did = true
		}
	}
	return did
}

func (w *txnWorld) heal() {
	w.logf("healed")
	w.healed = true
	w.offset += w.latest.Sub(w.Now())
	for _, o := range slices.Clone(w.zombies) { // they learn what they are
		o.stop()
	}
}

// active does everything that can be done now.
func (w *txnWorld) active() (did bool) {
	did = w.claimMissing()
	for _, o := range w.all() {
		for range 1000 {
			if !o.pump() && !o.work() {
				break
			}
			did = true
		}
	}
	did = w.store.Sync() > 0 || did
	for range len(w.net) {
		w.deliver()
		did = true
	}
	return did
}

func (w *txnWorld) remains(o *txnOwner) string {
	c := o.core
	return fmt.Sprintf("owner of %d (gone %v): %d transactions, %d waiters, %d commits, %d in doubt, %d loading, waits for a commit %v, now %v, next alarm %v, jobs %d, inbox %d",
		o.part, o.gone, len(c.txns), len(c.waiters), len(c.commits), c.inDoubt, len(c.loading), c.waitsForCommit(), w.Now(), c.nextAlarm(w.Now()), len(o.jobs.queue), len(o.inbox))
}

// settle lets what is under way end: ten seconds after the last fault nothing may
// be in doubt.
func (w *txnWorld) settle() {
	for end := w.ticks + 10*time.Second; w.ticks < end; w.pass(20 * time.Millisecond) {
		for _, o := range w.owners { // timers that were set by a clock that was wrong are late
			if o != nil {
				o.mail.poke()
			}
		}
		for n := 0; w.active(); n++ {
			if n > 1000 {
				w.failf("no end in sight")
			}
		}
		for _, c := range w.clients {
			c.finish()
		}
	}
	for _, c := range w.clients {
		if c.waits != nil {
			w.failf("%s still waits in its %s of %v after %d of %d reads: %s", c.name, c.kind, c.keys, len(c.recs), len(c.keys), w.remains(c.waits))
		}
	}
}
