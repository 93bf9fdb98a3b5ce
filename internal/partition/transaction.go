package partition

import (
	"errors"
	"strconv"
	"time"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/txn"
)

// Times of transactions across partitions. They decide when something is looked
// at, never what becomes of it.
const (
	decideWithin = 5 * time.Second        // after it home gives up, and participants ask
	remindAfter  = time.Second            // between questions and reminders about one transaction
	keepAborted  = 10 * time.Minute       // before an abort is forgotten
	pinPatience  = 5 * time.Second        // for a record that a transaction holds
	jitterBase   = 2 * time.Millisecond   // of the first retry after a conflict, at most
	jitterMax    = 500 * time.Millisecond // of any
	collectMost  = 256                    // aborts forgotten at a time
)

// Reasons to abort that are not about records.
var (
	errLeaseEnded = errors.New("the lease of the task ended before its transaction was decided")
	errUnserved   = errors.New("a partition of the transaction is not served at the moment")
	errSlow       = errors.New("a partition of the transaction did not answer in time")
)

// transaction is one of which this partition is home.
type transaction struct {
	*txn.Coordinator
	told time.Time // when its participants were told to apply it
	// decide is called when all participants have prepared: it checks home's own part
	// and commits, or gives up. It may be called again after records were loaded.
	decide func(now time.Time)
	// refused is called when it was aborted.
	refused func(now time.Time, err error)
}

func newTransaction(plan txn.Plan) *transaction {
	return &transaction{Coordinator: txn.New(plan)}
}

// newPlan begins the description of a transaction.
func (c *core) newPlan(now time.Time) txn.Plan {
	began := c.led.Stamp(now)
	id := task.DeriveID("transaction", strconv.Itoa(c.cfg.Part), strconv.FormatUint(c.led.Epoch(), 10), strconv.FormatUint(uint64(began), 10))
	return txn.Plan{Tx: id, Home: c.cfg.Part, Began: began, Deadline: now.Add(decideWithin).Truncate(time.Microsecond).UTC()}
}

// begin asks the participants of a transaction to prepare.
func (c *core) begin(now time.Time, t *transaction) {
	c.txns[t.Plan().Tx] = t
	unserved := false
	for _, m := range t.Begin() {
		if unserved = unserved || !c.env.Tell(m); unserved {
			t.Vote(m.To, errUnserved)
		}
	}
	if unserved {
		c.giveUp(now, t, errUnserved)
	}
}

// voted takes a participant's answer to prepare.
func (c *core) voted(now time.Time, m *txn.Message) {
	c.led.Witness(m.Seen)
	t := c.txns[m.Tx]
	switch {
	case t == nil || !t.Vote(m.From, m.Err):
	case t.Ready():
		t.decide(now)
	default:
		c.giveUp(now, t, m.Err)
	}
}

// giveUp aborts a transaction that is not decided.
func (c *core) giveUp(now time.Time, t *transaction, err error) {
	delete(c.txns, t.Plan().Tx)
	for _, m := range t.Abort() {
		c.env.Tell(m)
	}
	c.counts.txnEnded(err)
	t.refused(now, err)
}

// decided follows the decision to commit, which is in the gathering batch: the
// participants hear of it when it is durable.
func (c *core) decided(now time.Time, t *transaction) {
	t.Decide()
	c.counts.txnEnded(nil)
	c.afterDurable(func() {
		t.told = now
		for _, m := range t.Commit() {
			c.env.Tell(m)
		}
	})
}

// confirmed takes a participant's word that it has applied a transaction.
func (c *core) confirmed(m *txn.Message) {
	if t := c.txns[m.Tx]; t != nil && t.Confirm(m.From) {
		delete(c.txns, m.Tx)
		c.led.Forget(m.Tx)
	}
}

// answerAsk tells a participant what became of a transaction. One that is neither
// decided nor worked on is aborted now, and stays so.
func (c *core) answerAsk(now time.Time, m *txn.Message) {
	reply := txn.Message{Tx: m.Tx, From: c.cfg.Part, To: m.From, Began: m.Began, Question: m.Question}
	if t := c.txns[m.Tx]; t != nil && t.Open() {
		reply.Kind = txn.Undecided
		c.env.Tell(reply)
		return
	}
	row := c.led.Decision(m.Tx)
	if row == nil {
		row = &store.Txn{Tx: m.Tx, State: store.TxAborted, Began: m.Began}
		// It fails only where an abort is forgotten: a commit never is before this
		// participant has confirmed it.
		if err := c.led.Decide(now, row); err == nil {
			c.counts.recovered.WithLabelValues("abort").Inc()
		}
	}
	reply.Kind = txn.Abort
	if row.State == store.TxCommitted {
		reply.Kind = txn.Apply
		c.counts.recovered.WithLabelValues("apply").Inc()
	}
	c.afterDurable(func() { c.env.Tell(reply) })
}

// hear takes a message of another partition.
func (c *core) hear(now time.Time, m txn.Message) {
	switch m.Kind {
	case txn.Prepare:
		c.prepare(now, m)
	case txn.Voted:
		c.voted(now, &m)
	case txn.Apply:
		c.applyBranch(now, &m)
	case txn.Applied:
		c.confirmed(&m)
	case txn.Abort:
		c.abortBranch(now, &m)
	case txn.Ask:
		c.answerAsk(now, &m)
	case txn.Undecided:
		c.undecided(now, &m)
	}
}

// transacting reports whether a transaction, or somebody who waits for one, needs
// the core to look from time to time.
func (c *core) transacting() bool { return len(c.txns)+len(c.waiters)+c.inDoubt > 0 }

// deciding is how many transactions of this home are not decided.
func (c *core) deciding() (n int) {
	for _, t := range c.txns {
		if t.Open() {
			n++
		}
	}
	return n
}

// recover looks at transactions that take long.
func (c *core) recover(now time.Time) {
	for _, id := range sortedTxns(c.txns) {
		switch t := c.txns[id]; {
		case t.Open() && overdue(now, t.Plan().Deadline):
			c.giveUp(now, t, errSlow)
		case !t.Open() && waited(now, t.told, remindAfter):
			t.told = now
			for _, m := range t.Remind() {
				c.counts.recovered.WithLabelValues("remind").Inc()
				c.env.Tell(m)
			}
		}
	}
	if c.inDoubt > 0 {
		for _, row := range c.led.InDoubt() {
			if overdue(now, row.Deadline) {
				c.ask(now, row)
			}
		}
	}
	c.endPatience(now)
	c.led.Collect(now.Add(-keepAborted), collectMost)
}

// overdue reports whether it is after the deadline, or so long before it that the
// clock must have been set back.
func overdue(now, deadline time.Time) bool {
	return now.After(deadline) || deadline.Sub(now) > 2*decideWithin
}

// waited reports whether so much time is over, whatever clocks did meanwhile.
func waited(now, since time.Time, d time.Duration) bool {
	passed := now.Sub(since)
	return passed >= d || passed < 0
}

// jitter is how long to wait before the n-th retry after a conflict.
func (c *core) jitter(n int) time.Duration {
	most := min(jitterBase<<min(n, 20), jitterMax)
	return time.Duration(c.rng.Int64N(int64(most)) + 1)
}

// later calls f after a time.
func (c *core) later(now time.Time, d time.Duration, f func(now time.Time)) {
	c.alarms.add(alarm{at: now.Add(d), call: f})
}

// restoreDecision takes back a decision of an earlier owner.
func (c *core) restoreDecision(row *store.Txn) {
	c.led.RestoreDecision(row)
	if row.State == store.TxCommitted {
		c.txns[row.Tx] = &transaction{Coordinator: txn.Resume(c.cfg.Part, row)}
	}
}

// mayPass reports whether a transaction that was aborted for this reason may be
// committed when it is tried again, over what the records are then.
func mayPass(err error) bool {
	for _, reason := range []error{ledger.ErrConflict, ledger.ErrPinned, ledger.ErrAborted, ledger.ErrForgotten, errLeaseEnded, errUnserved, errSlow} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}
