package partition

import (
	"maps"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/txn"
)

// prepare checks and holds the records of a transaction that has another home.
func (c *core) prepare(now time.Time, m txn.Message) {
	if unknown := c.led.Unknown(m.Intents); len(unknown) > 0 {
		c.loadAll(unknown, func() { c.prepare(c.loadedAt, m) })
		return
	}
	vote := txn.Message{Kind: txn.Voted, Tx: m.Tx, From: c.cfg.Part, To: m.From, Began: m.Began}
	known := c.led.Prepared(m.Tx) != nil
	if vote.Err = c.led.Prepare(now, m.Branch, m.Intents); vote.Err != nil {
		vote.Seen = c.led.Head()
		c.env.Tell(vote)
		return
	}
	if !known {
		c.doubt(m.Branch)
	}
	c.afterDurable(func() { c.env.Tell(vote) })
}

// applyBranch makes this partition's part of a committed transaction take effect.
func (c *core) applyBranch(now time.Time, m *txn.Message) {
	row := c.led.Prepared(m.Tx)
	c.resolved(now, row, c.led.ApplyBranch(now, m.Tx))
	reply := txn.Message{Kind: txn.Applied, Tx: m.Tx, From: c.cfg.Part, To: m.From, Began: m.Began}
	if !c.waitsForCommit() {
		c.env.Tell(reply)
		return
	}
	// Nobody waits for it: home only forgets.
	c.gathering.answers = append(c.gathering.answers, func() { c.env.Tell(reply) })
}

// abortBranch undoes this partition's part of an aborted transaction.
func (c *core) abortBranch(now time.Time, m *txn.Message) {
	row := c.led.Prepared(m.Tx)
	freed := c.led.AbortBranch(now, &store.Branch{Tx: m.Tx, Home: m.From, Began: m.Began})
	c.resolved(now, row, freed)
}

// doubt counts a branch that is prepared from now on.
func (c *core) doubt(row *store.Branch) {
	c.inDoubt++
	c.counts.doubts.enter(row.Tx, row.Began.Time())
}

// resolved follows the end of a prepared branch.
func (c *core) resolved(now time.Time, row *store.Branch, freed []ledger.RecordKey) {
	if row != nil {
		c.inDoubt--
		c.counts.doubts.leave(row.Tx)
		delete(c.asked, row.Tx)
	}
	c.wakeWaiters(now, freed, released)
}

// ask asks home what became of a prepared branch, unless that was asked just now.
func (c *core) ask(now time.Time, row *store.Branch) {
	if at, ok := c.asked[row.Tx]; ok && !waited(now, at, remindAfter) {
		return
	}
	c.asked[row.Tx] = now
	c.question++
	c.counts.recovered.WithLabelValues("ask").Inc()
	c.env.Tell(txn.Message{Kind: txn.Ask, Tx: row.Tx, From: c.cfg.Part, To: row.Home, Began: row.Began, Question: c.question})
}

// restoreBranch takes back a branch of an earlier owner. Nobody waits for its
// deadline: home is asked at once.
func (c *core) restoreBranch(row *store.Branch, intents []*store.Intent) {
	c.led.RestoreBranch(row, intents)
	if row.State == store.TxPrepared {
		row.Deadline = time.Time{}
		c.doubt(row)
	}
}

// release is why a waiter is woken.
type release uint8

const (
	released  release = iota // the record is held no more
	stillHeld                // home says that the transaction is not decided
	outWaited                // patience is at its end
)

// waiter waits for a record that a transaction holds.
type waiter struct {
	tx    task.ID
	until time.Time
	reads bool // is content with what the record was, as long as home has not decided
	// question is the first whose answer tells a reader what was so after it came.
	question uint64
	then     func(now time.Time, why release)
}

// await calls then when a record that a transaction holds comes free, or when
// patience ends.
func (c *core) await(now time.Time, held *ledger.ConflictError, reads bool, then func(now time.Time, why release)) {
	k := ledger.RecordKey{Key: held.Key, Name: held.Name}
	c.waiters[k] = append(c.waiters[k], &waiter{tx: held.Tx, until: now.Add(pinPatience), reads: reads, question: c.question + 1, then: then})
	if reads {
		if row := c.led.Prepared(held.Tx); row != nil {
			delete(c.asked, row.Tx) // every reader needs an answer of its own
			c.ask(now, row)
		}
	}
}

// wakeWaiters wakes those who wait for one of the records.
func (c *core) wakeWaiters(now time.Time, keys []ledger.RecordKey, why release) {
	for _, k := range keys {
		waiting := c.waiters[k]
		delete(c.waiters, k)
		for _, w := range waiting {
			w.then(now, why)
		}
	}
}

// undecided answers those who only read: when home was asked for them there was no
// decision, and the records were what they had been.
func (c *core) undecided(now time.Time, m *txn.Message) {
	c.wakeWhere(now, stillHeld, func(w *waiter) bool { return w.reads && w.tx == m.Tx && w.question <= m.Question })
}

// endPatience ends the wait of those who have waited for too long.
func (c *core) endPatience(now time.Time) {
	c.wakeWhere(now, outWaited, func(w *waiter) bool { return overdue(now, w.until) })
}

func (c *core) wakeWhere(now time.Time, why release, is func(*waiter) bool) {
	var woken []*waiter
	for _, k := range sortedRecords(c.waiters) {
		kept := c.waiters[k][:0]
		for _, w := range c.waiters[k] {
			if is(w) {
				woken = append(woken, w)
			} else {
				kept = append(kept, w)
			}
		}
		if c.waiters[k] = kept; len(kept) == 0 {
			delete(c.waiters, k)
		}
	}
	for _, w := range woken {
		w.then(now, why)
	}
}

func sortedTxns(m map[task.ID]*transaction) []task.ID {
	return slices.SortedFunc(maps.Keys(m), task.ID.Compare)
}

func sortedRecords(m map[ledger.RecordKey][]*waiter) []ledger.RecordKey {
	return slices.SortedFunc(maps.Keys(m), ledger.RecordKey.Compare)
}
