package fenfatest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// cable passes a client's connections on to a node. It can be cut, and it can be
// held: then what is under way arrives late.
type cable struct {
	t     *testing.T
	to    string
	l     net.Listener
	group sync.WaitGroup

	mu     sync.Mutex
	free   *sync.Cond
	held   bool
	passes int // how much passes while it is held
	conns  map[net.Conn]struct{}
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{t: t, to: to, l: l, conns: map[net.Conn]struct{}{}}
	c.free = sync.NewCond(&c.mu)
	c.group.Go(c.accept)
	t.Cleanup(func() {
		_ = l.Close()
		c.hold(false)
		c.cut()
		c.group.Wait()
	})
	return c
}

func (c *cable) accept() {
	for {
		in, err := c.l.Accept()
		if err != nil {
			return
		}
		out, err := (&net.Dialer{}).DialContext(c.t.Context(), "tcp", c.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		c.mu.Lock()
		c.conns[in], c.conns[out] = struct{}{}, struct{}{}
		c.mu.Unlock()
		c.group.Go(func() { c.copy(in, out) })
		c.group.Go(func() { c.copy(out, in) })
	}
}

func (c *cable) copy(from, to net.Conn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		c.mu.Lock()
		for c.held && c.passes == 0 {
			c.free.Wait()
		}
		c.passes = max(0, c.passes-1)
		c.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (c *cable) hold(held bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = held
	c.free.Broadcast()
}

// pass lets one thing pass that was read before the cable was held, or since.
func (c *cable) pass() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passes = 1
	c.free.Broadcast()
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		_ = conn.Close()
	}
	clear(c.conns)
}

// written knows when which value of a key was confirmed.
type written struct {
	mu    sync.Mutex
	times map[string][]time.Time // of value i at place i
}

func (w *written) add(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.times[key] = append(w.times[key], time.Now())
}

// least is the value that an answer which holds for this moment has at least.
func (w *written) least(key string, at time.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	least := -1
	for i, confirmed := range w.times[key] {
		if !confirmed.After(at) {
			least = i
		}
	}
	return least
}

// over returns a client whose connection is the cable.
func (c *cable) client() *fenfa.Client {
	c.t.Helper()
	client, err := fenfa.Dial(c.l.Addr().String())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := client.Close(); err != nil {
			c.t.Error(err)
		}
	})
	return client
}

func newCache(t *testing.T, c *fenfa.Client, prefix string, opts fenfa.CacheOptions) *fenfa.Cache {
	t.Helper()
	cache, err := c.Cache(prefix, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cache.Close)
	return cache
}

// TestACacheNeverAnswersStalerThanItSays counts up in records while the connection
// of a cache is cut and held, and compares every answer with what was confirmed at
// the moment for which it must hold.
func TestACacheNeverAnswersStalerThanItSays(t *testing.T) {
	for name, opts := range map[string]fenfa.CacheOptions{
		"read when asked": {MaxAge: 10 * time.Second},
		"preloaded":       {MaxAge: 10 * time.Second, Preload: true},
		"little room":     {MaxAge: 10 * time.Second, MaxBytes: 1500},
	} {
		t.Run(name, func(t *testing.T) {
			n := fenfatest.Start(t)
			line := newCable(t, n.Addr())
			cache := newCache(t, line.client(), "k", opts)
			const keys, rounds = 6, 150
			log := &written{times: map[string][]time.Time{}}
			turns := make(chan struct{}, 64)
			var group sync.WaitGroup
			for reader := range 3 {
				group.Go(func() { readAlong(t, cache, log, keys, turns, uint64(reader)) })
			}
			rng := rand.New(rand.NewPCG(7, 7))
			for i := range rounds {
				for k := range keys {
					key := "k" + strconv.Itoa(k)
					put(t, n.Client(), key, "n", i)
					log.add(key)
					line.pass() // While it is held, what passes is late.
					for range 8 {
						select {
						case turns <- struct{}{}:
						default:
						}
					}
				}
				switch rng.IntN(12) {
				case 0:
					line.cut()
				case 1, 2:
					line.hold(true)
				case 3, 4, 5, 6:
					line.hold(false)
				}
			}
			line.hold(false)
			close(turns)
			group.Wait()
			stats := cache.Stats()
			t.Logf("%+v", stats)
			if stats.Hits == 0 || stats.Reads == 0 {
				t.Errorf("%+v: want answers from memory and from the node", stats)
			}
		})
	}
}

func readAlong(t *testing.T, cache *fenfa.Cache, log *written, keys int, turns <-chan struct{}, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	for range turns {
		key := "k" + strconv.Itoa(rng.IntN(keys))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // A held line answers nothing.
		before := time.Now()
		rec, age, err := cache.Get(ctx, key, "n")
		cancel()
		value := -1
		switch {
		case errors.Is(err, fenfa.ErrNotFound):
		case err != nil:
			continue
		default:
			if value, err = strconv.Atoi(string(rec.Value)); err != nil {
				t.Error(err)
				return
			}
		}
		if least := log.least(key, before.Add(-age)); value < least {
			t.Errorf("%s is %d, said to be %v old at most, and %d was confirmed before that", key, value, age, least)
			return
		}
	}
}

func TestACacheAnswersFromMemoryAndFollowsChanges(t *testing.T) {
	n := fenfatest.Start(t)
	c := n.Client()
	put(t, c, "a", "n", 1)
	put(t, c, "b", "n", 1)
	for name, opts := range map[string]fenfa.CacheOptions{
		"all": {MaxAge: time.Minute}, "keys": {MaxAge: time.Minute, Keys: []string{"a"}}, "preloaded": {MaxAge: time.Minute, Preload: true},
	} {
		t.Run(name, func(t *testing.T) {
			cache := newCache(t, c, "", opts)
			get := func(key string) string {
				t.Helper()
				rec, _, err := cache.Get(t.Context(), key, "n")
				if errors.Is(err, fenfa.ErrNotFound) {
					return "none"
				}
				if err != nil {
					t.Fatal(err)
				}
				return string(rec.Value)
			}
			// until asks until the answer comes from memory and is the wanted one.
			until := func(want string) {
				t.Helper()
				for {
					hits := cache.Stats().Hits
					got := get("a")
					if t.Context().Err() != nil || got == want && cache.Stats().Hits > hits {
						return
					}
				}
			}
			until("1")
			put(t, c, "a", "n", 2)
			until("2")
			rec, err := c.State().Get(t.Context(), "a", "n")
			if err != nil {
				t.Fatal(err)
			}
			if err := c.State().Delete(t.Context(), "a", "n", rec.Version); err != nil {
				t.Fatal(err)
			}
			until("none")
			put(t, c, "a", "n", 1)
			until("1")
			if get("b") != "1" || get("nobody") != "none" {
				t.Error("other records are not found")
			}
		})
	}
}

func TestACacheForgetsWhatHasNoRoom(t *testing.T) {
	n := fenfatest.Start(t)
	c := n.Client()
	const room = 3000
	cache := newCache(t, c, "", fenfa.CacheOptions{MaxAge: time.Minute, MaxBytes: room})
	for i := range 50 {
		put(t, c, fmt.Sprint("k", i), "n", "some value")
	}
	for cache.Stats().Evicted == 0 {
		for i := range 50 {
			if _, _, err := cache.Get(t.Context(), fmt.Sprint("k", i), "n"); err != nil {
				t.Fatal(err)
			}
			if s := cache.Stats(); s.Bytes > room {
				t.Fatalf("%+v: at most %d bytes are allowed", s, room)
			}
		}
	}
}

func TestACacheWithoutConnectionSaysSo(t *testing.T) {
	n := fenfatest.Start(t)
	line := newCable(t, n.Addr())
	put(t, n.Client(), "a", "n", 1)
	cache := newCache(t, line.client(), "", fenfa.CacheOptions{MaxAge: 20 * time.Millisecond})
	for cache.Stats().Hits == 0 {
		if _, _, err := cache.Get(t.Context(), "a", "n"); err != nil {
			t.Fatal(err)
		}
	}
	line.hold(true)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	for {
		if _, age, err := cache.Get(ctx, "a", "n"); fenfa.CodeOf(err) == fenfa.CodeUnavailable && err != nil {
			break // What is in memory is too old, and the node does not answer.
		} else if age > 20*time.Millisecond && err == nil {
			// Read from the node before the line was held.
			continue
		}
	}
	line.hold(false)
	if _, _, err := cache.Get(t.Context(), "a", "n"); err != nil {
		t.Error(err)
	}
}

func TestACacheThatIsWrongIsRefused(t *testing.T) {
	n := fenfatest.Start(t)
	for field, opts := range map[string]fenfa.CacheOptions{
		"max_age": {MaxAge: time.Millisecond}, "max_bytes": {MaxBytes: -1}, "keys": {Keys: []string{"k"}},
	} {
		_, err := n.Client().Cache("prefix", opts)
		if e, ok := errors.AsType[*fenfa.Error](err); !ok || e.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	cache := newCache(t, n.Client(), "", fenfa.CacheOptions{})
	cache.Close()
	if _, _, err := cache.Get(t.Context(), "k", "n"); !errors.Is(err, fenfa.ErrNotFound) {
		t.Errorf("a closed cache answers %v", err)
	}
}
