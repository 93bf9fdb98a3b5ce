package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	driverpkg "github.com/go-sql-driver/mysql"

	"github.com/fenfa/fenfa/internal/mariadbserver"
	"github.com/fenfa/fenfa/internal/mariadbserver/mariadbtest"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/mysql"
)

// counter is an owner that raises a record by one with each commit.
type counter struct {
	s         store.Store
	part      int
	fence     store.Fence
	confirmed uint64
}

func (c *counter) claim(ctx context.Context) (err error) {
	c.fence, err = c.s.Claim(ctx, c.part, 0)
	return err
}

// step commits the next number, and the op-log row of it.
func (c *counter) step(ctx context.Context) error {
	n := c.confirmed + 1
	b := after(c.part, c.fence, &store.Record{Key: "k", Name: "n", Version: n}, &store.OpLog{Seq: c.fence.Seq + 1, Op: store.OpPut, Key: "k", Name: "n", Before: n - 1, After: n})
	if err := c.s.Commit(ctx, []store.Batch{b}); err != nil {
		return fmt.Errorf("partition %d: %w", c.part, err)
	}
	c.fence, c.confirmed = b.Next, n
	return nil
}

// check compares record and op log with what was confirmed.
func (c *counter) check(t *testing.T) {
	t.Helper()
	rows, err := c.s.Get(t.Context(), c.part, []store.Row{&store.Record{Key: "k", Name: "n"}})
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := rows[0].(*store.Record); !ok || r.Version != c.confirmed {
		t.Errorf("partition %d: the record is %+v after %d commits", c.part, rows[0], c.confirmed)
	}
	log, err := c.s.Load(t.Context(), store.Scan{Part: c.part, Table: store.TableOpLog, Limit: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	if uint64(len(log)) != c.confirmed {
		t.Errorf("partition %d: %d rows in the op log after %d commits", c.part, len(log), c.confirmed)
	}
}

// TestAServerThatIsKilledLosesAndDoublesNothing kills the server of three shards
// under load and starts it again. No owner hears of it.
func TestAServerThatIsKilledLosesAndDoublesNothing(t *testing.T) {
	const parts, kills, between = 12, 3, 60
	private := mariadbtest.Private(t, mariadbserver.Config{})
	var list []string
	for _, name := range []string{"one", "two", "three"} {
		address, err := private.Database(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, address)
	}
	s := open(t, mysql.Config{Shards: addresses(t, list), Timeout: 5 * time.Minute})
	var commits atomic.Int64
	reached := make(chan struct{}, 1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	counters := make([]*counter, parts)
	for part := range parts {
		c := &counter{s: s, part: part}
		counters[part] = c
		wg.Go(func() {
			if err := c.claim(t.Context()); err != nil {
				t.Error(err)
				return
			}
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := c.step(t.Context()); err != nil {
					t.Error(err)
					return
				}
				if commits.Add(1)%between == 0 {
					select {
					case reached <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	for range kills {
		<-reached
		if err := private.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := private.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	<-reached
	close(stop)
	wg.Wait()
	for _, c := range counters {
		c.check(t)
	}
}

// TestAServerThatStaysAwayIsAnErrorThatNamesIt looks at each call of a store whose
// server is gone, and at the same store when the server is back.
func TestAServerThatStaysAwayIsAnErrorThatNamesIt(t *testing.T) {
	private := mariadbtest.Private(t, mariadbserver.Config{})
	address, err := private.Database(t.Context(), "fenfa")
	if err != nil {
		t.Fatal(err)
	}
	waits := &patience{}
	cfg := mysql.Config{Shards: addresses(t, []string{address}), Timeout: longTimeout, Clock: waits}
	s := open(t, cfg)
	c := &counter{s: s, part: 1}
	if err := errors.Join(c.claim(t.Context()), c.step(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := private.Kill(); err != nil {
		t.Fatal(err)
	}
	waits.lost.Store(true)
	_, claimErr := s.Claim(t.Context(), 1, 0)
	_, loadErr := s.Load(t.Context(), store.Scan{Part: 1, Table: store.TableDead, Limit: 1})
	_, _, metaErr := s.Meta().Get(t.Context(), "a")
	_, openErr := mysql.New(t.Context(), cfg)
	for what, err := range map[string]error{"commit": c.step(t.Context()), "claim": claimErr, "load": loadErr, "read named value": metaErr, "migrate schema": openErr} {
		if err == nil || errors.Is(err, store.ErrFenced) {
			t.Errorf("%s: got %v", what, err)
			continue
		}
		for _, want := range []string{what, "shard 0", private.Addr() + "/fenfa", "given up"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in %q", what, want, err)
			}
		}
		if strings.Contains(err.Error(), mariadbserver.Password) {
			t.Errorf("%s: the password shows: %v", what, err)
		}
	}
	waits.lost.Store(false)
	if err := private.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.claim(t.Context()), c.step(t.Context())); err != nil {
		t.Fatal(err)
	}
	c.check(t)
}

// TestAStoreWhoseServerIsAwayCanBeClosed closes a store while a commit waits for a
// server that does not come back. The commit ends without a false yes.
func TestAStoreWhoseServerIsAwayCanBeClosed(t *testing.T) {
	private := mariadbtest.Private(t, mariadbserver.Config{})
	address, err := private.Database(t.Context(), "fenfa")
	if err != nil {
		t.Fatal(err)
	}
	for what, lose := range map[string]string{"before it is sent": "BEGIN", "with its outcome unknown": "COMMIT"} {
		t.Run(what, func(t *testing.T) {
			reached := make(chan struct{})
			var once sync.Once
			var away atomic.Bool
			hit := &tap{
				before: func(string) error {
					if away.Load() {
						return driverpkg.ErrInvalidConn
					}
					return nil
				},
				after: func(text string) error {
					if text != lose || !away.CompareAndSwap(false, true) {
						return nil
					}
					once.Do(func() { close(reached) })
					return driverpkg.ErrInvalidConn
				},
			}
			armed := &tap{}
			s, err := mysql.New(t.Context(), mysql.Config{Shards: addresses(t, []string{address}), Timeout: 10 * time.Minute, Observe: armed.observe})
			if err != nil {
				t.Fatal(err)
			}
			c := &counter{s: s, part: 1}
			if err := c.claim(t.Context()); err != nil {
				t.Fatal(err)
			}
			*armed = *hit
			done := make(chan error, 1)
			go func() { done <- c.step(t.Context()) }()
			<-reached
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if err := s.Close(ended); !errors.Is(err, context.Canceled) {
				t.Errorf("close: %v", err)
			}
			if err := <-done; err == nil {
				t.Error("the commit was confirmed")
			}
		})
	}
}
