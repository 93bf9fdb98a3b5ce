package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/lock"
	"github.com/fenfa/fenfa/internal/task"
)

func TestLocksOverGRPC(t *testing.T) {
	h := newHarness(t)
	c := fenfav1.NewLockServiceClient(h.conn)
	got, err := c.Acquire(t.Context(), &fenfav1.AcquireLockRequest{Name: "l"})
	if err != nil || got.GetToken() != 7 || got.GetTtl().AsDuration() != 30*time.Second || got.GetConfirmWithin().AsDuration() != 10*time.Second {
		t.Fatalf("acquire: %v, %v", got, err)
	}
	renewed, err := c.Renew(t.Context(), &fenfav1.RenewLocksRequest{Locks: []*fenfav1.LockToken{{Name: "l", Token: 7}, {Name: "m", Token: 6}}})
	if err != nil || len(renewed.GetRenewals()) != 2 {
		t.Fatalf("renew: %v, %v", renewed, err)
	}
	if first, second := renewed.GetRenewals()[0], renewed.GetRenewals()[1]; first.GetError() != nil || first.GetTtl().AsDuration() != time.Minute || second.GetError().GetCode() != fenfav1.Code_CODE_STALE {
		t.Errorf("renewals are %v", renewed)
	}
	if _, err := c.Release(t.Context(), &fenfav1.ReleaseLockRequest{Name: "l", Token: 7}); err != nil {
		t.Error(err)
	}
	stolen, err := c.Steal(t.Context(), &fenfav1.StealLockRequest{Name: "l", Holder: "me", Ttl: durationpb.New(time.Hour)})
	if err != nil || stolen.GetToken() != 8 || stolen.GetTtl().AsDuration() != time.Hour {
		t.Errorf("steal: %v, %v", stolen, err)
	}
	shown, err := c.Get(t.Context(), &fenfav1.GetLockRequest{Name: "l"})
	if l := shown.GetLock(); err != nil || l.GetName() != "l" || l.GetHolder() != "me" || l.GetWaiters() != 2 || l.GetExpiresIn().AsDuration() != time.Second || l.GetSince().AsTime().Unix() != 1_700_000_000 {
		t.Errorf("get: %v, %v", shown, err)
	}
	list, err := c.List(t.Context(), &fenfav1.ListLocksRequest{Prefix: "p/"})
	if err != nil || len(list.GetLocks()) != 1 || list.GetNextPageToken() != "next" {
		t.Errorf("list: %v, %v", list, err)
	}
	if want := []string{"release l 7", "steal l me", "locks p/ 100 "}; !slices.Equal(h.engine.calls, want) {
		t.Errorf("calls %q, want %q", h.engine.calls, want)
	}
}

func TestBadLockRequestsAreRefused(t *testing.T) {
	h := newHarness(t)
	c := fenfav1.NewLockServiceClient(h.conn)
	bad := &durationpb.Duration{Seconds: 1, Nanos: -1}
	_, err := c.Acquire(t.Context(), &fenfav1.AcquireLockRequest{Name: "l", Ttl: bad})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
	_, err = c.Acquire(t.Context(), &fenfav1.AcquireLockRequest{Name: "l", Wait: bad})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
	_, err = c.Steal(t.Context(), &fenfav1.StealLockRequest{Name: "l", Ttl: bad})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
	_, err = c.List(t.Context(), &fenfav1.ListLocksRequest{PageSize: 1001})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
	_, err = c.Renew(t.Context(), &fenfav1.RenewLocksRequest{Locks: make([]*fenfav1.LockToken, maxRenewals+1)})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
}

func TestErrorsOfTheEngineReachLocks(t *testing.T) {
	h := newHarness(t, func(e *fakeEngine, _ *Config) { e.err = task.Errorf(task.CodeStale, "too late") })
	c, ctx := fenfav1.NewLockServiceClient(h.conn), t.Context()
	for name, call := range map[string]func() error{
		"acquire": func() error { _, err := c.Acquire(ctx, &fenfav1.AcquireLockRequest{}); return err },
		"release": func() error { _, err := c.Release(ctx, &fenfav1.ReleaseLockRequest{}); return err },
		"steal":   func() error { _, err := c.Steal(ctx, &fenfav1.StealLockRequest{}); return err },
		"get":     func() error { _, err := c.Get(ctx, &fenfav1.GetLockRequest{}); return err },
		"list":    func() error { _, err := c.List(ctx, &fenfav1.ListLocksRequest{}); return err },
	} {
		t.Run(name, func(t *testing.T) { refused(t, call(), codes.FailedPrecondition, task.CodeStale) })
	}
}

func TestAWaiterThatGoesAwayEndsItsCall(t *testing.T) {
	for _, how := range []string{"client", "server"} {
		t.Run(how, func(t *testing.T) {
			waits, left := make(chan struct{}), make(chan error, 1)
			h := newHarness(t, func(e *fakeEngine, _ *Config) {
				e.acquire = func(ctx context.Context, _ lock.Request) (lock.Held, error) {
					close(waits)
					<-ctx.Done()
					left <- context.Cause(ctx)
					return lock.Held{}, task.Errorf(task.CodeUnavailable, "gone: %w", ctx.Err())
				}
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			answered := make(chan error, 1)
			go func() {
				_, err := fenfav1.NewLockServiceClient(h.conn).Acquire(ctx, &fenfav1.AcquireLockRequest{Name: "l", Wait: durationpb.New(time.Hour)})
				answered <- err
			}()
			<-waits
			if how == "client" {
				cancel()
			} else {
				h.stop()
			}
			cause := <-left
			if err := <-answered; err == nil {
				t.Error("the call succeeded")
			}
			if how == "client" && !errors.Is(cause, context.Canceled) {
				t.Errorf("the engine saw %v", cause)
			}
		})
	}
}

func TestLocksOverHTTP(t *testing.T) {
	h := newHarness(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{http.MethodPost, "/v1/locks/a%2Fb/acquire", `{"ttl":"5s","wait":"30s"}`, 200, `"name":"a/b"`},
		{http.MethodPost, "/v1/locks/l/acquire", `{"wait":"31s"}`, 400, `over HTTP`},
		{http.MethodPost, "/v1/locks", `{"locks":[{"name":"l","token":"6"}]}`, 200, `CODE_STALE`},
		{http.MethodPost, "/v1/locks/l/release", `{"token":"7"}`, 200, `{}`},
		{http.MethodPost, "/v1/locks/l/steal", `{"holder":"me"}`, 200, `"token":"8"`},
		{http.MethodGet, "/v1/locks/l", "", 200, `"holder":"me"`},
		{http.MethodGet, "/v1/locks?prefix=p&page_size=5", "", 200, `"next_page_token":"next"`},
		{http.MethodGet, "/v1/locks?nonsense=p", "", 400, `nonsense`},
	} {
		r := h.do(t, c.method, c.path, strings.NewReader(c.body))
		if r.status != c.status || !strings.Contains(strings.ReplaceAll(r.body, " ", ""), strings.ReplaceAll(c.says, " ", "")) {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.status, r.body)
		}
	}
}

func TestAFenceReachesTheEngine(t *testing.T) {
	var got *task.Fence
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		e.put = func(w task.Write, _ bool) (uint64, error) { got = w.Fence; return 1, nil }
	})
	c := fenfav1.NewStateServiceClient(h.conn)
	if _, err := c.Put(t.Context(), &fenfav1.PutRecordRequest{Key: "k", Name: "n", Fence: &fenfav1.Fence{Lock: "l", Token: 9}}); err != nil || got == nil || *got != (task.Fence{Lock: "l", Token: 9}) {
		t.Errorf("fence %+v: %v", got, err)
	}
	if _, err := c.Put(t.Context(), &fenfav1.PutRecordRequest{Key: "k", Name: "n"}); err != nil || got != nil {
		t.Errorf("fence %+v of none: %v", got, err)
	}
}
