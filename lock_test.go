package fenfa

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// fakeLocks is a LockService that does what a test scripts; by default it grants
// and renews everything.
type fakeLocks struct {
	fenfav1.UnimplementedLockServiceServer

	mu       sync.Mutex
	acquires []*fenfav1.AcquireLockRequest
	renewals int
	renewed  int // locks, of all renewals
	releases int
	acquire  func(n int) error // for the n-th call, from 1
	renew    func(n int) *fenfav1.Error
	release  func(n int) error
	stolen   string        // a lock that cannot be renewed
	hang     chan struct{} // renewals wait for it, if there is one
}

func startLocks(t *testing.T) (*fakeLocks, *Client) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, server, served := &fakeLocks{}, grpc.NewServer(), make(chan struct{})
	fenfav1.RegisterLockServiceServer(server, f)
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	c, err := Dial(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		server.Stop()
		<-served
	})
	return f, c
}

func (f *fakeLocks) Acquire(_ context.Context, req *fenfav1.AcquireLockRequest) (*fenfav1.AcquireLockResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acquires = append(f.acquires, req)
	n := len(f.acquires)
	if f.acquire != nil {
		if err := f.acquire(n); err != nil {
			return nil, err
		}
	}
	return &fenfav1.AcquireLockResponse{Name: req.GetName(), Token: uint64(n), Ttl: req.GetTtl(), ConfirmWithin: req.GetTtl()}, nil
}

func (f *fakeLocks) Renew(ctx context.Context, req *fenfav1.RenewLocksRequest) (*fenfav1.RenewLocksResponse, error) {
	f.mu.Lock()
	f.renewals++
	f.renewed += len(req.GetLocks())
	n, hang := f.renewals, f.hang
	resp := &fenfav1.RenewLocksResponse{}
	for _, lock := range req.GetLocks() {
		r := &fenfav1.Renewal{Ttl: durationpb.New(time.Second)}
		if lock.GetName() == f.stolen {
			r.Error = &fenfav1.Error{Code: fenfav1.Code_CODE_STALE, Message: "stolen"}
		}
		if f.renew != nil {
			r.Error = f.renew(n)
		}
		resp.Renewals = append(resp.Renewals, r)
	}
	f.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return resp, nil
}

func (f *fakeLocks) Release(context.Context, *fenfav1.ReleaseLockRequest) (*fenfav1.ReleaseLockResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.releases++
	if f.release != nil {
		if err := f.release(f.releases); err != nil {
			return nil, err
		}
	}
	return &fenfav1.ReleaseLockResponse{}, nil
}

func (f *fakeLocks) with(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func unavailable() error {
	return refusal(codes.Unavailable, &fenfav1.Error{Code: fenfav1.Code_CODE_UNAVAILABLE, Message: "not now"})
}

func staleError() *fenfav1.Error {
	return &fenfav1.Error{Code: fenfav1.Code_CODE_STALE, Message: "another has it"}
}

// lost waits until the context of the lock ends.
func lost(t *testing.T, l *Lock) error {
	t.Helper()
	select {
	case <-l.Context().Done():
		return context.Cause(l.Context())
	case <-time.After(time.Minute):
		t.Fatal("the lock is not lost")
		return nil
	}
}

func TestALockIsAskedForUntilTheNodeAnswersWithTheSameClaim(t *testing.T) {
	f, c := startLocks(t)
	f.acquire = func(n int) error {
		if n < 3 {
			return unavailable()
		}
		return nil
	}
	l, err := c.Lock(t.Context(), "l", LockTTL(time.Minute), LockHolder("me"))
	if err != nil {
		t.Fatal(err)
	}
	first, last := f.acquires[0], f.acquires[2]
	if l.Token() != 3 || l.Name() != "l" || first.GetClaim() == "" || first.GetClaim() != last.GetClaim() || last.GetHolder() != "me" || last.GetTtl().AsDuration() != time.Minute {
		t.Errorf("token %d, asked %v and %v", l.Token(), first, last)
	}
	if err := l.Unlock(t.Context()); err != nil || f.releases != 1 {
		t.Errorf("unlock: %v, %d releases", err, f.releases)
	}
}

func TestAGrantThatIsConfirmedTooLateIsAskedForAnewWithAnotherClaim(t *testing.T) {
	f, c := startLocks(t)
	f.renew = func(n int) *fenfav1.Error {
		if n == 1 {
			return staleError()
		}
		return nil
	}
	l, err := c.Lock(t.Context(), "l")
	if err != nil || l.Token() != 2 || f.acquires[0].GetClaim() == f.acquires[1].GetClaim() {
		t.Fatalf("%v: asked %v", err, f.acquires)
	}
	if err := l.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAConfirmationIsRepeatedWhileTheNodeIsAway(t *testing.T) {
	f, c := startLocks(t)
	f.renew = func(n int) *fenfav1.Error {
		if n < 3 {
			return &fenfav1.Error{Code: fenfav1.Code_CODE_UNAVAILABLE}
		}
		return nil
	}
	l, err := c.Lock(t.Context(), "l", LockTTL(time.Minute))
	if err != nil || l.Token() != 1 || f.renewals != 3 {
		t.Fatalf("%v after %d renewals", err, f.renewals)
	}
	if err := l.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestALockThatIsNotHadSaysWhy(t *testing.T) {
	held := refusal(codes.FailedPrecondition, &fenfav1.Error{Code: fenfav1.Code_CODE_FAILED_PRECONDITION, Message: "held by another"})
	full := refusal(codes.ResourceExhausted, &fenfav1.Error{Code: fenfav1.Code_CODE_RESOURCE_EXHAUSTED, Message: "too many wait"})
	for name, c := range map[string]struct {
		err  error
		opts []LockOption
		is   error
		code Code
	}{
		"it is held":               {held, []LockOption{LockWait(0)}, ErrLockHeld, CodeFailedPrecondition},
		"too many wait":            {full, nil, ErrResourceExhausted, CodeResourceExhausted},
		"the node is away":         {unavailable(), []LockOption{LockWait(0)}, ErrUnavailable, CodeUnavailable},
		"a limit is not kept":      {nil, []LockOption{LockTTL(time.Millisecond)}, nil, CodeInvalidArgument},
		"a wait without any sense": {nil, []LockOption{LockWait(-1)}, nil, CodeInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			f, client := startLocks(t)
			f.acquire = func(int) error { return c.err }
			_, err := client.Lock(t.Context(), "l", c.opts...)
			if c.is != nil && !errors.Is(err, c.is) || CodeOf(err) != c.code {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAnEndedContextEndsTheWaitAndGivesTheGrantBack(t *testing.T) {
	f, c := startLocks(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.renew = func(int) *fenfav1.Error {
		cancel()
		return &fenfav1.Error{Code: fenfav1.Code_CODE_UNAVAILABLE}
	}
	if _, err := c.Lock(ctx, "l"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if f.releases != 1 {
		t.Errorf("%d releases", f.releases)
	}
}

func TestALockIsLostWhenTheNodeSaysSo(t *testing.T) {
	f, c := startLocks(t)
	l, err := c.Lock(t.Context(), "l", LockTTL(1500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	f.with(func() { f.renew = func(int) *fenfav1.Error { return staleError() } })
	if err := lost(t, l); !errors.Is(err, ErrLockLost) || !errors.Is(err, ErrStale) {
		t.Errorf("the context ended with %v", err)
	}
	f.with(func() { f.release = func(int) error { return refusal(codes.FailedPrecondition, staleError()) } })
	if err := l.Unlock(t.Context()); !errors.Is(err, ErrLockLost) {
		t.Errorf("unlock: %v", err)
	}
}

func TestALockIsLostWhenNoAnswerComesWithinItsTTL(t *testing.T) {
	f, c := startLocks(t)
	before := time.Now()
	l, err := c.Lock(t.Context(), "l", LockTTL(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	f.with(func() { f.hang = make(chan struct{}) })
	if err := lost(t, l); !errors.Is(err, ErrLockLost) {
		t.Errorf("the context ended with %v", err)
	}
	if took := time.Since(before); took < 900*time.Millisecond {
		t.Errorf("the lock was given up after %v", took)
	}
	if err := l.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestUnlockWorksAfterItsContextHasEndedAndRepeatsWhatMayBeLost(t *testing.T) {
	f, c := startLocks(t)
	ctx, cancel := context.WithCancel(t.Context())
	l, err := c.Lock(ctx, "l")
	if err != nil {
		t.Fatal(err)
	}
	f.release = func(n int) error {
		if n == 1 {
			return unavailable()
		}
		return refusal(codes.FailedPrecondition, staleError()) // The first one did it after all.
	}
	cancel()
	if err := lost(t, l); errors.Is(err, ErrLockLost) {
		t.Errorf("a context that the user ended says %v", err)
	}
	if err := l.Unlock(ctx); err != nil || f.releases != 2 {
		t.Errorf("unlock: %v after %d releases", err, f.releases)
	}
}

// TestLocksWhoseTimeComesSoonAreRenewedInOneCall makes some of several locks due, one of
// which was stolen, and renews one of them.
func TestLocksWhoseTimeComesSoonAreRenewedInOneCall(t *testing.T) {
	const ttl = time.Hour
	f, c := startLocks(t)
	var locks []*Lock
	for i := range 6 {
		l, err := c.Lock(t.Context(), fmt.Sprint("l", i), LockTTL(ttl))
		if err != nil {
			t.Fatal(err)
		}
		locks = append(locks, l)
	}
	due := func(l *Lock, at time.Time) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.due = at
	}
	now := time.Now()
	for i, in := range []time.Duration{0, -time.Minute, ttl / 13, ttl / 4, time.Minute, ttl / 3} {
		due(locks[i], now.Add(in))
	}
	f.mu.Lock()
	calls, renewed := f.renewals, f.renewed
	f.stolen = locks[4].Name()
	f.mu.Unlock()
	if err := locks[0].renew(t.Context(), c.held.soon(locks[0])...); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	calls, renewed = f.renewals-calls, f.renewed-renewed
	f.mu.Unlock()
	if calls != 1 || renewed != 4 {
		t.Errorf("%d locks were renewed in %d calls", renewed, calls)
	}
	for i, again := range []bool{true, true, true, false, false, true} {
		if left := locks[i].untilDue(); left > ttl/4 != again {
			t.Errorf("lock %d is due in %v", i, left)
		}
		if err := locks[i].Context().Err(); err != nil {
			t.Errorf("lock %d: %v", i, context.Cause(locks[i].Context()))
		}
	}
	for _, l := range locks {
		if err := l.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if n := len(c.held.locks); n != 0 {
		t.Errorf("%d locks are still kept", n)
	}
}
