package fenfatest_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// patience bounds the waits for what must happen.
const patience = time.Minute

func mustLock(t *testing.T, c *fenfa.Client, name string, opts ...fenfa.LockOption) *fenfa.Lock {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	// The lock's context is a child of the one that it was asked for with.
	t.Cleanup(cancel)
	l, err := c.Lock(ctx, name, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// ended waits until the context of a lock ends, and returns its cause.
func ended(t *testing.T, l *fenfa.Lock) error {
	t.Helper()
	select {
	case <-l.Context().Done():
		return context.Cause(l.Context())
	case <-time.After(patience):
		t.Fatalf("lock %s is not lost", l.Name())
		return nil
	}
}

// waiters waits until so many stand in line for a lock.
func waiters(t *testing.T, c *fenfa.Client, name string, n int) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		info, err := c.Locks().Get(t.Context(), name)
		if err == nil && info.Waiters == n {
			return
		}
	}
	t.Fatalf("there never were %d in line for lock %s", n, name)
}

func TestALockKeepsOthersOutUntilItIsUnlocked(t *testing.T) {
	c := fenfatest.Start(t).Client()
	first := mustLock(t, c, "l", fenfa.LockHolder("first"))
	if _, err := c.Lock(t.Context(), "l", fenfa.LockWait(0)); !errors.Is(err, fenfa.ErrLockHeld) || fenfa.CodeOf(err) != fenfa.CodeFailedPrecondition {
		t.Errorf("a held lock: %v", err)
	}
	info, err := c.Locks().Get(t.Context(), "l")
	if err != nil || info.Holder != "first" || info.Token != first.Token() || info.TTL != 30*time.Second || info.ExpiresIn <= 0 || info.ExpiresIn > info.TTL {
		t.Errorf("shown as %+v: %v", info, err)
	}
	if err := first.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := ended(t, first); errors.Is(err, fenfa.ErrLockLost) {
		t.Errorf("an unlocked lock says %v", err)
	}
	if err := first.Unlock(t.Context()); !errors.Is(err, fenfa.ErrLockLost) {
		t.Errorf("unlocked twice: %v", err)
	}
	second := mustLock(t, c, "l", fenfa.LockWait(0))
	if second.Token() <= first.Token() {
		t.Errorf("token %d after %d", second.Token(), first.Token())
	}
	if err := second.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Locks().Get(t.Context(), "l"); !errors.Is(err, fenfa.ErrNotFound) {
		t.Errorf("a free lock: %v", err)
	}
}

func TestWaitersGetTheLockInTheirOrder(t *testing.T) {
	const n = 20
	c := fenfatest.Start(t).Client()
	first := mustLock(t, c, "l")
	got := make(chan int, n)
	var line sync.WaitGroup
	for i := range n {
		line.Go(func() {
			l, err := c.Lock(t.Context(), "l")
			if err != nil {
				t.Error(err)
				return
			}
			got <- i
			if err := l.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
		})
		waiters(t, c, "l", i+1)
	}
	if err := first.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	line.Wait()
	for want := range n {
		if i := <-got; i != want {
			t.Fatalf("waiter %d got the lock at place %d", i, want)
		}
	}
}

func TestAWaiterWhoseContextEndsLeavesTheLine(t *testing.T) {
	c := fenfatest.Start(t).Client()
	first := mustLock(t, c, "l")
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := c.Lock(ctx, "l")
		gone <- err
	}()
	waiters(t, c, "l", 1)
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the waiter got %v", err)
	}
	waiters(t, c, "l", 0)
	if err := first.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestALockIsRenewedByItselfAndSurvivesARestart(t *testing.T) {
	n := fenfatest.Start(t)
	c := n.Client()
	l := mustLock(t, c, "l", fenfa.LockTTL(20*time.Second))
	n.Restart()
	if _, err := c.Lock(t.Context(), "l", fenfa.LockWait(0)); !errors.Is(err, fenfa.ErrLockHeld) {
		t.Errorf("after the restart another got: %v", err)
	}
	if err := l.Context().Err(); err != nil {
		t.Errorf("the lock is lost: %v", context.Cause(l.Context()))
	}
	if err := l.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestALockIsRenewedBeforeItsTTLIsOver(t *testing.T) {
	c := fenfatest.Start(t).Client()
	l := mustLock(t, c, "l", fenfa.LockTTL(12*time.Second))
	left, renewed := time.Hour, false
	for end := time.Now().Add(patience); !renewed && time.Now().Before(end); {
		info, err := c.Locks().Get(t.Context(), "l")
		if err != nil {
			t.Fatal(err)
		}
		left, renewed = info.ExpiresIn, info.ExpiresIn > left
	}
	if !renewed || l.Context().Err() != nil {
		t.Errorf("renewed: %v, lost: %v", renewed, context.Cause(l.Context()))
	}
	if err := l.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAStolenLockEndsTheContextOfItsHolder(t *testing.T) {
	c := fenfatest.Start(t).Client()
	l := mustLock(t, c, "l", fenfa.LockTTL(3*time.Second))
	token, err := c.Locks().Steal(t.Context(), "l", "a person", time.Minute)
	if err != nil || token <= l.Token() {
		t.Fatalf("stolen with %d after %d: %v", token, l.Token(), err)
	}
	if err := ended(t, l); !errors.Is(err, fenfa.ErrLockLost) || !errors.Is(err, fenfa.ErrStale) {
		t.Errorf("the context ended with %v", err)
	}
	if err := l.Unlock(t.Context()); !errors.Is(err, fenfa.ErrLockLost) {
		t.Errorf("the late unlock got %v", err)
	}
	if err := c.Locks().Release(t.Context(), "l", l.Token()); !errors.Is(err, fenfa.ErrStale) {
		t.Errorf("the late release got %v", err)
	}
	if err := c.Locks().Release(t.Context(), "l", token); err != nil {
		t.Error(err)
	}
}

func TestFencedWritesNeedTheCurrentToken(t *testing.T) {
	c := fenfatest.Start(t).Client()
	old := mustLock(t, c, "account-1")
	if _, err := c.State().Fenced("account-1", old.Token()).PutAny(t.Context(), "account-1", "balance", 1); err != nil {
		t.Fatal(err)
	}
	if err := old.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := mustLock(t, c, "account-1")
	if _, err := c.State().Fenced("account-1", old.Token()).PutAny(t.Context(), "account-1", "balance", 2); !errors.Is(err, fenfa.ErrStale) {
		t.Errorf("the late write got %v", err)
	}
	if _, err := c.State().Fenced("account-1", now.Token()).PutAny(t.Context(), "account-1", "balance", 3); err != nil {
		t.Error(err)
	}
	for i, l := range []*fenfa.Lock{old, now} { // Whatever partitions the records are of.
		_, err := c.State().Fenced("account-1", l.Token()).NewCommit().Put("account-2", "balance", i, 0).Put("account-3", "balance", i, 0).Do(t.Context())
		if late := l == old; late != errors.Is(err, fenfa.ErrStale) || !late && err != nil {
			t.Errorf("commit %d got %v", i, err)
		}
	}
	if err := now.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLocksAreListedByPrefix(t *testing.T) {
	c := fenfatest.Start(t).Client()
	for i := range 5 {
		defer func(l *fenfa.Lock) {
			if err := l.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
		}(mustLock(t, c, fmt.Sprint("p/", i)))
	}
	seen, page := map[string]bool{}, fenfa.Page{Size: 2}
	for range 20 {
		locks, next, err := c.Locks().List(t.Context(), "p/", page)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range locks {
			seen[l.Name] = true
		}
		if page.Token = next; next == "" {
			break
		}
	}
	if len(seen) != 5 {
		t.Errorf("listed %v", seen)
	}
}

func TestBadLocksAreRefusedBeforeTheyAreSent(t *testing.T) {
	c := fenfatest.Start(t).Client()
	for _, opt := range []fenfa.LockOption{fenfa.LockTTL(time.Millisecond), fenfa.LockTTL(48 * time.Hour), fenfa.LockWait(-1), fenfa.LockWait(48 * time.Hour)} {
		if _, err := c.Lock(t.Context(), "l", opt); fenfa.CodeOf(err) != fenfa.CodeInvalidArgument {
			t.Errorf("got %v", err)
		}
	}
	if _, err := c.Lock(t.Context(), ""); fenfa.CodeOf(err) != fenfa.CodeInvalidArgument {
		t.Errorf("no name: %v", err)
	}
}

// TestACounterUnderALockCountsEveryTurn reads and writes a record without its
// version: only the lock keeps the turns apart.
func TestACounterUnderALockCountsEveryTurn(t *testing.T) {
	const users, turns = 8, 12
	n := fenfatest.Start(t)
	c := n.Client()
	turn := func(user int) error {
		l, err := c.Lock(t.Context(), "counter", fenfa.LockTTL(20*time.Second), fenfa.LockHolder(fmt.Sprint("user ", user)))
		if err != nil {
			return err
		}
		count := 0
		r, err := c.State().Get(t.Context(), "counter", "n")
		switch {
		case err == nil:
			if count, err = strconv.Atoi(string(r.Value)); err != nil {
				return err
			}
		case !errors.Is(err, fenfa.ErrNotFound):
			return errors.Join(err, l.Unlock(t.Context()))
		}
		_, err = c.State().Fenced("counter", l.Token()).PutAny(t.Context(), "counter", "n", count+1)
		return errors.Join(err, l.Unlock(t.Context()))
	}
	var all sync.WaitGroup
	for user := range users {
		all.Go(func() {
			for range turns {
				if err := turn(user); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	r, err := c.State().Get(t.Context(), "counter", "n")
	if err != nil || string(r.Value) != strconv.Itoa(users*turns) {
		t.Errorf("counted %s of %d: %v", r.Value, users*turns, err)
	}
}
