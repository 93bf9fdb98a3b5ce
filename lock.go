package fenfa

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// ErrLockLost is the cause of a lock's context that ended because the lock was
// lost: it was not renewed in time, or somebody stole it.
var ErrLockLost = errors.New("the lock is lost")

// unlockTimeout bounds how long Unlock takes.
const unlockTimeout = 5 * time.Second

// Lock is a lock that is held. It is renewed at a third of its TTL until Unlock. Its
// methods may be called concurrently.
//
// A holder may be late in finding out that it has lost the lock: it stood still, or
// its clock did. What must not be written by two at once is to be protected by the
// token too, see Token and State.Fenced.
type Lock struct {
	client *Client
	name   string
	token  uint64
	ttl    time.Duration

	ctx    context.Context //nolint:containedctx // It is what the lock is for: it ends with the lock.
	cancel context.CancelCauseFunc
	keeper context.Context //nolint:containedctx // It ends the renewals with Unlock.
	stop   context.CancelFunc
	kept   sync.WaitGroup

	mu       sync.Mutex
	deadline time.Time   // by the monotonic clock of this process
	due      time.Time   // when it is to be renewed next
	alarm    *time.Timer // goes off at the deadline
}

// newLock makes a lock that is not renewed yet. Its context is a child of ctx.
func newLock(ctx context.Context, c *Client, name string, token uint64, ttl time.Duration) *Lock {
	l := &Lock{client: c, name: name, token: token, ttl: ttl}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	l.keeper, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	return l
}

// Name returns the lock's name.
func (l *Lock) Name() string { return l.name }

// Token returns the number that fences earlier holders: it grows with every holder,
// also across release, expiry and restart of nodes.
func (l *Lock) Token() uint64 { return l.token }

// Context returns a context that ends when the lock is lost, at the latest when its
// TTL is over by this process's own clock, counted from before the last renewal was
// sent, less a tenth. Its cause is ErrLockLost then. It ends with Unlock too, and
// with the context of Client.Lock.
func (l *Lock) Context() context.Context { return l.ctx }

// Unlock frees the lock, or hands it to the first in line. It takes 5 s at most,
// also where ctx has ended already. It fails with ErrLockLost where the lock was lost
// before; after any other error the lock ends with its TTL.
func (l *Lock) Unlock(ctx context.Context) error {
	l.cancel(context.Canceled)
	l.stop()
	l.kept.Wait()
	l.mu.Lock()
	l.alarm.Stop()
	l.mu.Unlock()
	return l.giveBack(ctx)
}

// giveBack releases the lock at the node.
func (l *Lock) giveBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
	defer cancel()
	req := &fenfav1.ReleaseLockRequest{Name: l.name, Token: l.token}
	for failures := 0; ; {
		_, err := call(ctx, l.client, "release lock", l.client.locks.Release, req)
		switch {
		case err == nil:
			return nil
		case CodeOf(err) == CodeStale && failures > 0:
			return nil // The call before may have done it.
		case CodeOf(err) == CodeStale:
			return fmt.Errorf("unlock %q: %w: %w", clip(l.name, 64), ErrLockLost, err)
		case CodeOf(err) != CodeUnavailable || ctx.Err() != nil:
			return fmt.Errorf("unlock %q: %w", clip(l.name, 64), err)
		}
		failures++
		pause(ctx, backoffDelay(failures))
	}
}

// start begins to keep a lock that was just renewed.
func (l *Lock) start() {
	l.client.held.add(l)
	l.kept.Go(l.keep)
}

// keep renews the lock until Unlock, or until it is lost. When its time has come, the
// client's other locks whose time comes soon are renewed in the same call.
func (l *Lock) keep() {
	defer l.client.held.remove(l)
	wait, failures := l.untilDue(), 0
	for {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-l.keeper.Done():
			timer.Stop()
			return
		}
		if wait = l.untilDue(); wait > 0 && failures == 0 {
			continue // It was renewed with another one.
		}
		var others []*Lock
		if failures == 0 { // What failed is not to fail because of others.
			others = l.client.held.soon(l)
		}
		ctx, cancel := context.WithTimeout(l.keeper, l.ttl/3)
		err := l.renew(ctx, others...)
		cancel()
		switch {
		case l.keeper.Err() != nil:
			return
		case err == nil:
			wait, failures = l.untilDue(), 0
		case CodeOf(err) == CodeStale || l.over():
			l.lose(err)
			return
		default:
			failures++
			wait = min(backoffDelay(failures), l.ttl/10)
		}
	}
}

// renew gives the lock its whole TTL again, counted from before the request: the
// node begins to count later. The same goes for the others, as far as they can be
// renewed: what becomes of one that cannot is found out when its own time comes.
func (l *Lock) renew(ctx context.Context, others ...*Lock) error {
	sent := time.Now()
	req := &fenfav1.RenewLocksRequest{Locks: []*fenfav1.LockToken{{Name: l.name, Token: l.token}}}
	for _, o := range others {
		req.Locks = append(req.Locks, &fenfav1.LockToken{Name: o.name, Token: o.token})
	}
	resp, err := call(ctx, l.client, "renew lock", l.client.locks.Renew, req)
	if err != nil {
		return err
	}
	renewals := resp.GetRenewals()
	if len(renewals) != len(req.Locks) {
		return errorf(CodeInternal, "the node answered the renewal of %d locks with %d", len(req.Locks), len(renewals))
	}
	for i, o := range others {
		if renewals[i+1].GetError() == nil && o.keeper.Err() == nil {
			_ = o.extend(sent) // It says so itself where that came too late.
		}
	}
	if w := renewals[0].GetError(); w != nil {
		return errorFromWire(w)
	}
	return l.extend(sent)
}

// untilDue is how long to wait before the next renewal.
func (l *Lock) untilDue() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Until(l.due)
}

// extend moves the deadline, less a margin for clocks that do not run alike. It
// fails when the lock was lost before.
func (l *Lock) extend(sent time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.deadline.IsZero() && !time.Now().Before(l.deadline) {
		return errorf(CodeStale, "the renewal came after the TTL was over")
	}
	l.deadline, l.due = sent.Add(l.ttl-l.ttl/10), sent.Add(l.ttl/3)
	left := time.Until(l.deadline)
	if left <= 0 {
		return errorf(CodeStale, "the answer to the renewal came after the TTL was over")
	}
	if l.alarm == nil {
		l.alarm = time.AfterFunc(left, l.expired)
	} else {
		l.alarm.Reset(left)
	}
	return nil
}

// over reports whether the deadline has passed.
func (l *Lock) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !time.Now().Before(l.deadline)
}

// expired is called at the deadline. A renewal may just have moved it.
func (l *Lock) expired() {
	if l.over() {
		l.lose(errorf(CodeStale, "it was not renewed within its TTL of %v", l.ttl))
	}
}

func (l *Lock) lose(err error) {
	l.cancel(fmt.Errorf("lock %q: %w: %w", clip(l.name, 64), ErrLockLost, err))
	l.stop()
}
