package fenfa

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// ErrLockHeld says that another holds the lock, and that the time to wait is over.
var ErrLockHeld = errors.New("the lock is held by another")

// LockOption sets something of a lock in Client.Lock.
type LockOption func(*lockConfig)

type lockConfig struct {
	ttl     time.Duration
	wait    time.Duration
	forever bool
	holder  string
}

// Bounds of a lock's times, which the node holds too.
const (
	lockMinTTL  = time.Second
	lockMaxTTL  = 24 * time.Hour
	lockMaxWait = 24 * time.Hour
)

func newLockConfig(opts []LockOption) (lockConfig, error) {
	cfg := lockConfig{ttl: 30 * time.Second, wait: lockMaxWait, forever: true}
	for _, opt := range opts {
		opt(&cfg)
	}
	switch {
	case cfg.ttl < lockMinTTL || cfg.ttl > lockMaxTTL:
		return cfg, errorf(CodeInvalidArgument, "the ttl of the lock is %v: want %v to %v", cfg.ttl, lockMinTTL, lockMaxTTL).withField("ttl")
	case cfg.wait < 0 || cfg.wait > lockMaxWait:
		return cfg, errorf(CodeInvalidArgument, "the wait for the lock is %v: want 0 to %v", cfg.wait, lockMaxWait).withField("wait")
	}
	if cfg.holder == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown host"
		}
		cfg.holder = fmt.Sprintf("%s, process %d", host, os.Getpid())
	}
	return cfg, nil
}

// LockTTL sets how long the lock is held without a renewal: 1 s to 24 h, default
// 30 s. It is how long others wait after the holder has crashed, and how long the
// node may be away without the lock being lost.
func LockTTL(d time.Duration) LockOption { return func(c *lockConfig) { c.ttl = d } }

// LockWait sets how long to stand in line at most, up to 24 h. With 0 the lock is
// only taken if it is free. By default the context of Lock bounds the wait alone.
func LockWait(d time.Duration) LockOption {
	return func(c *lockConfig) { c.wait, c.forever = d, false }
}

// LockHolder sets what others see as the holder, at most 256 bytes. The default
// names the host and the process.
func LockHolder(holder string) LockOption { return func(c *lockConfig) { c.holder = holder } }

// Lock waits in line until the lock is the caller's, first come first served, and
// keeps it by renewing it until Unlock. The name is 1 to 512 bytes. It fails with
// ErrLockHeld when the time to wait is over, and with CodeResourceExhausted when too
// many wait. Connections that break and nodes that restart do not end the wait; after
// a restart the line begins anew.
//
// When ctx ends, so does the wait; afterwards it ends Lock.Context, and the lock
// itself is held until Unlock.
func (c *Client) Lock(ctx context.Context, name string, opts ...LockOption) (*Lock, error) {
	cfg, err := newLockConfig(opts)
	if err != nil {
		return nil, err
	}
	w := &lockWish{client: c, name: name, cfg: cfg, until: time.Now().Add(cfg.wait)}
	l, err := w.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock %q: %w", clip(name, 64), err)
	}
	return l, nil
}

// lockWish is one call of Client.Lock.
type lockWish struct {
	client *Client
	name   string
	cfg    lockConfig
	until  time.Time
	claim  string // the same in all repeats of one request
}

// run asks again and again, until the lock is granted and confirmed.
func (w *lockWish) run(ctx context.Context) (*Lock, error) {
	w.claim = NewID().String()
	for failures := 0; ; {
		granted, err := w.acquire(ctx)
		if err == nil {
			var l *Lock
			if l, err = w.confirm(ctx, granted); err == nil {
				return l, nil
			}
			if CodeOf(err) == CodeStale { // It came too late: the lock went to the next.
				w.claim, err = NewID().String(), nil
			}
		}
		late := time.Until(w.until) <= 0
		switch code := CodeOf(err); {
		case ctx.Err() != nil:
			return nil, errorf(CodeUnavailable, "the wait for the lock ended: %w", context.Cause(ctx))
		case err == nil && !late:
			continue
		case err == nil:
			return nil, fmt.Errorf("%w: the grant came too late to be confirmed", ErrLockHeld)
		case code == CodeFailedPrecondition && w.cfg.forever:
			w.until = time.Now().Add(w.cfg.wait)
		case code == CodeFailedPrecondition:
			return nil, fmt.Errorf("%w: %w", ErrLockHeld, err)
		case code != CodeUnavailable || late && !w.cfg.forever:
			return nil, err
		default:
			failures++
			pause(ctx, backoffDelay(failures))
		}
	}
}

// acquire makes one request, which waits in line.
func (w *lockWish) acquire(ctx context.Context) (*fenfav1.AcquireLockResponse, error) {
	return call(ctx, w.client, "acquire lock", w.client.locks.Acquire, &fenfav1.AcquireLockRequest{
		Name: w.name, Holder: w.cfg.holder, Claim: w.claim, Ttl: durationpb.New(w.cfg.ttl),
		Wait: durationpb.New(max(0, time.Until(w.until))),
	})
}

// confirm renews a grant for the first time, which says that the caller is there.
func (w *lockWish) confirm(ctx context.Context, granted *fenfav1.AcquireLockResponse) (*Lock, error) {
	l := newLock(ctx, w.client, w.name, granted.GetToken(), granted.GetTtl().AsDuration())
	within := granted.GetConfirmWithin().AsDuration()
	if within == 0 {
		within = l.ttl
	}
	confirming, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var err error
	for failures := 1; confirming.Err() == nil; failures++ {
		if err = l.renew(confirming); err == nil {
			l.start()
			return l, nil
		}
		if CodeOf(err) == CodeStale {
			break
		}
		pause(confirming, min(backoffDelay(failures), within/10))
	}
	l.cancel(err)
	l.stop()
	if ctx.Err() != nil {
		// Others need not wait until the grant ends; it does so by itself too.
		_ = l.giveBack(ctx)
	}
	if err == nil || CodeOf(err) != CodeStale && ctx.Err() == nil {
		err = errorf(CodeUnavailable, "the grant of the lock could not be confirmed within %v: %w", within, err)
	}
	return nil, err
}
