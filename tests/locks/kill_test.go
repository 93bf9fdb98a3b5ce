package locks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/tests/harness"
)

// count is what the counter's record holds: how many turns there were, and whose
// the last one was.
type count struct {
	N    int    `json:"n"`
	Turn string `json:"turn"`
}

// users take turns at a counter that only a lock protects: they read it and write
// it without its version.
type users struct {
	t      *testing.T
	client *fenfa.Client

	stop      chan struct{}
	all       sync.WaitGroup
	mu        sync.Mutex
	confirmed map[string]bool
	taken     atomic.Int64
}

func (u *users) start(n int) {
	u.stop, u.confirmed = make(chan struct{}), map[string]bool{}
	for i := range n {
		u.all.Go(func() {
			for turn := 0; ; turn++ {
				select {
				case <-u.stop:
					return
				default:
					u.turn(fmt.Sprintf("user %d turn %d", i, turn))
				}
			}
		})
	}
}

// turn adds one to the counter under the lock.
func (u *users) turn(name string) {
	l, err := u.client.Lock(u.t.Context(), "counter", fenfa.LockTTL(20*time.Second), fenfa.LockHolder(name))
	if err != nil {
		u.t.Errorf("%s: %v", name, err)
		return
	}
	now, err := u.read(l.Context())
	if err == nil {
		err = u.write(l, count{now.N + 1, name})
	}
	switch {
	case err == nil:
		u.mu.Lock()
		u.confirmed[name] = true
		u.mu.Unlock()
		u.taken.Add(1)
	case !errors.Is(err, fenfa.ErrStale) && l.Context().Err() == nil:
		u.t.Errorf("%s: %v", name, err)
	}
	// A node that is away frees the lock when its TTL is over.
	_ = l.Unlock(u.t.Context())
}

// read returns the counter, and asks again while the node is away.
func (u *users) read(ctx context.Context) (now count, err error) {
	for {
		r, err := u.client.State().Get(ctx, "counter", "n")
		switch {
		case err == nil:
			return now, r.Decode(&now)
		case errors.Is(err, fenfa.ErrNotFound):
			return now, nil
		case !errors.Is(err, fenfa.ErrUnavailable) || ctx.Err() != nil:
			return now, err
		}
	}
}

// write writes the counter, again and again while the node is away: what a repeat
// writes is the same.
func (u *users) write(l *fenfa.Lock, value count) error {
	for {
		_, err := u.client.State().Fenced(l.Name(), l.Token()).PutAny(l.Context(), "counter", "n", value)
		if err == nil || !errors.Is(err, fenfa.ErrUnavailable) || l.Context().Err() != nil {
			return err
		}
	}
}

// check reads the op log: the counter never went back nor skipped, and every turn
// that was confirmed is there once.
func (u *users) check() {
	u.t.Helper()
	seen, last := map[string]bool{}, count{}
	for after := uint64(0); ; {
		changes, next, err := u.client.State().History(u.t.Context(), "counter", "n", after, 1000)
		if err != nil {
			u.t.Fatal(err)
		}
		for _, ch := range changes {
			var c count
			if err := json.Unmarshal(ch.Value, &c); err != nil {
				u.t.Fatal(err)
			}
			if c == last {
				continue // A repeat, because no answer came.
			}
			if c.N != last.N+1 || seen[c.Turn] {
				u.t.Fatalf("after %+v came %+v: two had the lock", last, c)
			}
			seen[c.Turn], last = true, c
		}
		if after = next; next == 0 {
			break
		}
	}
	for turn := range u.confirmed {
		if !seen[turn] {
			u.t.Errorf("%s was confirmed and is lost", turn)
		}
	}
	u.t.Logf("%d turns, %d confirmed", last.N, len(u.confirmed))
}

// TestHoldersKeepTheirLocksWhileTheNodeIsKilled kills the node while one lock is held
// and waited for all the time, and while many take turns at another.
func TestHoldersKeepTheirLocksWhileTheNodeIsKilled(t *testing.T) {
	n := harness.NewNode(t, t.TempDir())
	n.Start()
	client := n.Dial()
	held, err := client.Lock(t.Context(), "held", fenfa.LockTTL(2*harness.Patience))
	if err != nil {
		t.Fatal(err)
	}
	var early atomic.Bool
	released := make(chan struct{})
	var waiting sync.WaitGroup
	for range 20 {
		waiting.Go(func() {
			l, err := client.Lock(t.Context(), "held", fenfa.LockTTL(20*time.Second))
			if err != nil {
				t.Error(err)
				return
			}
			select {
			case <-released:
			default:
				early.Store(true)
			}
			if l.Token() <= held.Token() {
				t.Errorf("token %d after %d", l.Token(), held.Token())
			}
			_ = l.Unlock(t.Context())
		})
	}
	u := &users{t: t, client: client}
	u.start(8)
	seed := rand.Uint64()
	moments := rand.New(rand.NewPCG(seed, 0))
	for range kills(t) {
		before := u.taken.Load()
		harness.Await(t, "a few turns are taken", func(context.Context) bool { return u.taken.Load() >= before+5 })
		<-time.After(time.Duration(moments.Int64N(int64(100 * time.Millisecond))))
		n.Kill()
		n.Start()
	}
	close(u.stop)
	u.all.Wait()
	u.check()
	if held.Context().Err() != nil || early.Load() {
		t.Errorf("seed %d: another got the held lock: %v; its context: %v", seed, early.Load(), context.Cause(held.Context()))
	}
	info, err := client.Locks().Get(t.Context(), "held")
	if err != nil || info.Token != held.Token() {
		t.Errorf("the held lock is %+v: %v", info, err)
	}
	close(released)
	if err := held.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	waiting.Wait()
}

// kills is FENFA_KILLS, or 4.
func kills(t *testing.T) int {
	t.Helper()
	s := os.Getenv("FENFA_KILLS")
	if s == "" {
		return 4
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("read FENFA_KILLS: %v", err)
	}
	return n
}
