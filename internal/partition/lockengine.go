package partition

import (
	"context"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/lock"
	"github.com/fenfa/fenfa/internal/task"
)

// LockRef names a lock and a token of it.
type LockRef struct {
	Name  string
	Token uint64
}

// Renewal is what became of the renewal of one lock.
type Renewal struct {
	Held lock.Held
	Err  error
}

type lockReply struct {
	held lock.Held
	err  error
}

// AcquireLock returns when the lock is the caller's, durably, or will not be: it is
// held and there is no more time to wait, or too many wait. A grant is taken back
// unless RenewLocks confirms it within Held.Confirm. When ctx ends the caller is
// gone: its place in line goes, and a grant that is on its way goes to the next.
func (e *Engine) AcquireLock(ctx context.Context, r lock.Request) (lock.Held, error) {
	if err := r.Validate(); err != nil {
		return lock.Held{}, err
	}
	o := e.of(r.Name)
	reply := make(chan lockReply, 2) // A ticket that was taken over may have two.
	k := &lock.Ticket{Request: r, Answer: func(h lock.Held, err error) { reply <- lockReply{h, err} }}
	own := o.tell(ctx, func(c *core, now time.Time) { c.acquireLock(now, k) })
	if own == nil {
		return lock.Held{}, o.notServed()
	}
	select {
	case v := <-reply:
		return v.held, v.err
	case <-own.gone:
		return lock.Held{}, task.Errorf(task.CodeUnavailable, "partition %d stopped while lock %q was waited for: ask again with the same claim", o.part, r.Name)
	case <-ctx.Done():
		own.mail.post(func(c *core, now time.Time) { c.withdrawLock(now, k) })
		return lock.Held{}, task.Errorf(task.CodeUnavailable, "the caller did not wait for lock %q any longer: %w", r.Name, context.Cause(ctx))
	}
}

// RenewLocks gives the holders of locks their whole TTL again and returns one
// result for each. A token that is not the current one any more has CodeStale. Any
// other error says nothing of the lock: the renewal may be repeated.
func (e *Engine) RenewLocks(ctx context.Context, refs []LockRef) []Renewal {
	results := make([]Renewal, len(refs))
	byOwner := make(map[*owner][]int)
	for i := range refs {
		if err := lock.ValidateName(refs[i].Name); err != nil {
			results[i].Err = err
			continue
		}
		o := e.of(refs[i].Name)
		byOwner[o] = append(byOwner[o], i)
	}
	type answers struct {
		indexes  []int
		renewals []Renewal
		err      error
	}
	all := make(chan answers, len(byOwner))
	for o, indexes := range byOwner {
		go func() { // It ends before this function does.
			renewals, err := ask(ctx, o, func(c *core, now time.Time, answer func([]Renewal)) {
				c.renewLocks(now, refs, indexes, answer)
			})
			all <- answers{indexes, renewals, err}
		}()
	}
	for range byOwner {
		a := <-all
		for n, i := range a.indexes {
			if a.err != nil {
				results[i].Err = a.err
			} else {
				results[i] = a.renewals[n]
			}
		}
	}
	return results
}

// renewLocks renews those with the given indexes, and answers when all are done.
func (c *core) renewLocks(now time.Time, refs []LockRef, indexes []int, answer func([]Renewal)) {
	renewals := make([]Renewal, len(indexes))
	left := len(indexes)
	for n, i := range indexes {
		c.renewLock(now, refs[i].Name, refs[i].Token, func(h lock.Held, err error) {
			renewals[n] = Renewal{h, err}
			if left--; left == 0 {
				answer(renewals)
			}
		})
	}
}

// ReleaseLock frees a lock, or gives it to the first in line. A token that is not
// the current one changes nothing and has CodeStale.
func (e *Engine) ReleaseLock(ctx context.Context, ref LockRef) error {
	if err := lock.ValidateName(ref.Name); err != nil {
		return err
	}
	r, err := ask(ctx, e.of(ref.Name), func(c *core, now time.Time, answer func(lockReply)) {
		c.releaseLock(now, ref.Name, ref.Token, func(err error) { answer(lockReply{err: err}) })
	})
	if err != nil {
		return err
	}
	return r.err
}

// StealLock gives a lock to the caller whoever holds it; Wait and Claim do not
// matter.
func (e *Engine) StealLock(ctx context.Context, r lock.Request) (lock.Held, error) {
	r.Wait, r.Claim = 0, ""
	if err := r.Validate(); err != nil {
		return lock.Held{}, err
	}
	return ask(ctx, e.of(r.Name), func(c *core, now time.Time, answer func(lock.Held)) { c.stealLock(now, r, answer) })
}

// Lock returns a held lock; CodeNotFound says that nobody holds it.
func (e *Engine) Lock(ctx context.Context, name string) (lock.View, error) {
	if err := lock.ValidateName(name); err != nil {
		return lock.View{}, err
	}
	type reply struct {
		v    lock.View
		held bool
	}
	r, err := look(ctx, e.of(name), func(c *core, now time.Time, answer func(reply)) {
		c.getLock(now, name, func(v lock.View, held bool) { answer(reply{v, held}) })
	})
	if err == nil && !r.held {
		err = task.Errorf(task.CodeNotFound, "lock %q is free: nobody holds it", name).WithField("name")
	}
	return r.v, err
}

// Locks lists held locks whose name has the prefix, partition by partition, by
// name within each, and returns the token of the next page, empty after the last.
// Just after a claim it waits until the locks that were held before are found.
func (e *Engine) Locks(ctx context.Context, prefix string, limit int, pageToken string) ([]lock.View, string, error) {
	part, after, err := e.parsePage(pageToken)
	if err != nil {
		return nil, "", err
	}
	if limit < 1 {
		return nil, "", badLimit(limit)
	}
	var found []lock.View
	for ; part < len(e.owners); part, after = part+1, "" {
		o := e.owners[part]
		if err := o.foundLocks(ctx); err != nil {
			return nil, "", err
		}
		views, err := ask(ctx, o, func(c *core, now time.Time, answer func([]lock.View)) {
			views := c.locks.List(now, prefix, after, limit-len(found))
			c.afterDurable(func() { answer(views) })
		})
		if err != nil {
			return nil, "", err
		}
		if found = slices.Concat(found, views); len(found) >= limit {
			return found, pageOf(part, found[len(found)-1].Name), nil
		}
	}
	return found, "", nil
}

// foundLocks waits until the locks that were held before the claim are known.
func (o *owner) foundLocks(ctx context.Context) error {
	own := o.serving(ctx)
	if own == nil {
		return o.notServed()
	}
	select {
	case <-own.searched:
		return nil
	case <-own.gone:
		return o.notServed()
	case <-ctx.Done():
		return task.Errorf(task.CodeUnavailable, "partition %d still looks for locks that were held before its claim: %w", o.part, ctx.Err())
	}
}
