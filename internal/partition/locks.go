package partition

import (
	"time"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/lock"
	"github.com/fenfa/fenfa/internal/task"
)

// lockJournal keeps the records of locks in the ledger.
type lockJournal struct{ c *core }

// Put implements lock.Journal.
func (j lockJournal) Put(now time.Time, name string, value []byte) uint64 {
	token := j.c.led.Keep(now, &task.Write{Key: name, Name: task.LockRecord, Value: value})
	// Grants come with the round of events that frees a lock; nobody may be there
	// who waits for its commit.
	j.c.gathering.grants = append(j.c.gathering.grants, lock.Held{Name: name, Token: token})
	j.c.press()
	return token
}

// Delete implements lock.Journal.
func (j lockJournal) Delete(now time.Time, name string) {
	j.c.led.Keep(now, &task.Write{Key: name, Name: task.LockRecord, Delete: true})
}

// withLock calls then when the table knows what the lock's record is.
func (c *core) withLock(now time.Time, name string, then func(now time.Time)) {
	c.withRecord(name, task.LockRecord, func() {
		if c.loadedAt.After(now) {
			now = c.loadedAt // It was read meanwhile.
		}
		r := c.led.Record(name, task.LockRecord)
		c.locks.Known(name, r.Version, r.Value, r.UpdatedAt.Time())
		then(now)
	})
}

// changeLock is withLock for what may give the lock another token: it waits while a
// transaction that is not decided yet depends on the present one.
func (c *core) changeLock(now time.Time, name string, then func(now time.Time)) {
	c.withLock(now, name, func(now time.Time) {
		tx := c.led.Holder(name, task.LockRecord, true)
		if tx.IsZero() {
			then(now)
			return
		}
		held := &ledger.ConflictError{Key: name, Name: task.LockRecord, Tx: tx}
		c.await(now, held, false, func(now time.Time, _ release) { c.changeLock(now, name, then) })
	})
}

// acquireLock answers the ticket once what became of it is durable.
func (c *core) acquireLock(now time.Time, k *lock.Ticket) {
	answer := k.Answer
	k.Answer = func(h lock.Held, err error) { c.afterDurable(func() { answer(h, err) }) }
	c.changeLock(now, k.Name, func(now time.Time) { c.locks.Acquire(now, k) })
}

// withdrawLock takes back a call of acquireLock.
func (c *core) withdrawLock(now time.Time, k *lock.Ticket) {
	c.changeLock(now, k.Name, func(now time.Time) { c.locks.Withdraw(now, k) })
}

// renewLock gives a holder its whole TTL again. It answers once it is proven that
// the partition was this owner's until now: another owner would have begun to count
// before.
func (c *core) renewLock(now time.Time, name string, token uint64, answer func(lock.Held, error)) {
	c.withLock(now, name, func(now time.Time) {
		h, err := c.locks.Renew(now, name, token)
		if err == nil {
			c.led.Prove()
		}
		c.afterDurable(func() { answer(h, err) })
	})
}

func (c *core) releaseLock(now time.Time, name string, token uint64, answer func(error)) {
	c.changeLock(now, name, func(now time.Time) {
		err := c.locks.Release(now, name, token)
		c.afterDurable(func() { answer(err) })
	})
}

func (c *core) stealLock(now time.Time, r lock.Request, answer func(lock.Held)) {
	c.changeLock(now, r.Name, func(now time.Time) {
		h := c.locks.Steal(now, r)
		c.afterDurable(func() { answer(h) })
	})
}

// getLock answers with a lock once everything that it shows is durable.
func (c *core) getLock(now time.Time, name string, answer func(lock.View, bool)) {
	c.withLock(now, name, func(now time.Time) {
		v, held := c.locks.Get(now, name)
		c.afterDurable(func() { answer(v, held) })
	})
}

// expireLocks frees the locks whose time is over.
func (c *core) expireLocks(now time.Time) {
	for _, name := range c.locks.Due(now) {
		c.changeLock(now, name, func(now time.Time) { c.locks.Expire(now, name) })
	}
}
