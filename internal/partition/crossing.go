package partition

import (
	"time"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// awaitRelease stashes outcomes of an ordered lease until a record that their first
// one needs is held no more.
func (c *core) awaitRelease(now time.Time, ls *lease, held *ledger.ConflictError, s stashed) {
	ls.waiting = true
	ls.stash = append(ls.stash, s)
	c.await(now, held, false, func(now time.Time, why release) {
		if why == outWaited {
			c.clash(now, ls, s.first, held)
			return
		}
		c.resume(now, ls)
	})
}

// awaitReleaseOf does the same for one outcome of a lease without order.
func (c *core) awaitReleaseOf(now time.Time, ls *lease, held *ledger.ConflictError, s stashed) {
	it := ls.items[s.first]
	it.deciding = true
	c.await(now, held, false, func(now time.Time, why release) {
		if c.leases[ls.ref.Token] != ls || ls.items[s.first] != it {
			return
		}
		it.deciding = false
		if why == outWaited {
			c.clash(now, ls, s.first, held)
			return
		}
		c.scattered(now, ls, s.first, s.outcomes)
	})
}

// transactNext commits the outcome of an ordered lease's next task together with
// what it does in other partitions. What comes behind it waits.
func (c *core) transactNext(now time.Time, ls *lease, outs []task.Outcome) {
	index, o := ls.next, &outs[0]
	it := ls.items[index]
	ls.waiting = true
	if len(outs) > 1 {
		ls.stash = append(ls.stash, stashed{index + 1, outs[1:]})
	}
	held := func() bool { return c.leases[ls.ref.Token] == ls && ls.items[index] == it }
	err := c.transact(now, ls, it, o, held, func(now time.Time, tx task.ID) {
		it.conflicts = 0
		if o.Kind == task.OutcomeDead {
			c.endChain(now, ls, it, o)
			return
		}
		c.accept(now, ls, it, o, tx)
		c.goOn(now, ls)
		c.report(now, ls, 0)
		c.resume(now, ls)
	}, func(now time.Time, err error) { c.clash(now, ls, index, err) })
	if err != nil {
		c.refuse(now, ls, index, err)
	}
}

// transactOne does the same for a task of a lease without order.
func (c *core) transactOne(now time.Time, ls *lease, index int, o *task.Outcome) {
	it := ls.items[index]
	it.deciding = true
	held := func() bool { return c.leases[ls.ref.Token] == ls && ls.items[index] == it }
	err := c.transact(now, ls, it, o, held, func(now time.Time, tx task.ID) {
		it.deciding, it.conflicts = false, 0
		c.acceptOne(now, ls, index, o, tx)
		c.freedOf(now, ls, 1)
	}, func(now time.Time, err error) { c.clash(now, ls, index, err) })
	if err != nil {
		it.deciding = false
		c.refuseOne(now, ls, index, err)
		c.freedOf(now, ls, 1)
	}
}

// transact begins the transaction of an outcome. held says whether its lease still
// has the task; accept follows the decision, refused an abort.
func (c *core) transact(
	now time.Time, ls *lease, it *item, o *task.Outcome, held func() bool,
	accept func(now time.Time, tx task.ID), refused func(now time.Time, err error),
) error {
	plan := c.newPlan(now)
	plan.TaskID, plan.Attempt, plan.Worker = it.ID, it.attempts+1, ls.worker.ID
	var err error
	if plan.Shares, err = c.led.Shares(&it.Task, o, plan.Tx); err != nil {
		return err
	}
	t := newTransaction(plan)
	t.refused = refused
	t.decide = func(now time.Time) {
		if !held() {
			c.giveUp(now, t, errLeaseEnded)
			return
		}
		if missing := c.led.Missing(&it.Task, o); len(missing) > 0 {
			c.loadAll(missing, func() { c.decideAgain(t) })
			return
		}
		err := c.check(now, it, o, ls.ref.Token)
		if err == nil {
			err = c.led.Decide(now, t.Row(store.TxCommitted))
		}
		if err != nil {
			c.giveUp(now, t, err)
			return
		}
		c.decided(now, t)
		accept(now, plan.Tx)
	}
	c.begin(now, t)
	return nil
}

// decideAgain goes on with a decision after records were loaded.
func (c *core) decideAgain(t *transaction) {
	if t.Ready() && c.txns[t.Plan().Tx] == t {
		t.decide(c.loadedAt)
	}
}

// clash asks the worker, after a while, to run a task again whose transaction was
// aborted. That is no failure of the task.
func (c *core) clash(now time.Time, ls *lease, index int, err error) {
	it := ls.items[index]
	if c.leases[ls.ref.Token] != ls || it == nil {
		return
	}
	if !mayPass(err) { // it can never take effect
		it.deciding = false
		if ls.lane.ordered {
			c.refuse(now, ls, index, err)
			return
		}
		c.refuseOne(now, ls, index, err)
		c.freedOf(now, ls, 1)
		return
	}
	it.conflicts++
	c.counts.txnRetries.Inc()
	c.later(now, c.jitter(it.conflicts), func(now time.Time) {
		if c.leases[ls.ref.Token] != ls || ls.items[index] != it {
			return
		}
		it.deciding = false
		deadline := now.Add(c.timeoutOf(it) + leaseGrace)
		if ls.lane.ordered {
			ls.waiting, ls.stash = false, nil
			ls.deadline = deadline
		} else {
			ls.extend(index, deadline)
		}
		c.conflict(ls, index, err.Error())
	})
}
