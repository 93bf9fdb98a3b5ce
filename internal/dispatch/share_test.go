package dispatch

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// sharing is a set of queues that all have more tasks than there is room for.
type sharing struct {
	*bench
	queues map[string]*task.Queue
	worker *Session
	out    []string // queue of each slot that is taken
}

func newSharing(t *testing.T, slots int, shares map[string]float64) *sharing {
	t.Helper()
	s := &sharing{bench: newBench(t), queues: map[string]*task.Queue{}}
	names := []string{}
	for name, share := range shares {
		names = append(names, name)
		s.queues[name] = settings(name, func(q *task.Queue) { q.Share = share })
	}
	s.worker = s.bench.worker("w", slots, names...)
	return s
}

// flood asks until the queue waits.
func (s *sharing) flood(name string) {
	for s.assign(0, s.queues[name], "") != 0 {
		s.out = append(s.out, name)
	}
}

// end ends the i-th lease, and serves who is woken by it.
func (s *sharing) end(i int) (woken string) {
	name := s.out[i]
	s.out[i] = s.out[len(s.out)-1]
	s.out = s.out[:len(s.out)-1]
	s.Release(s.worker.Ref().Session, name, partition.Use{Slots: 1})
	for _, c := range s.engine.take() {
		woken = c.queue
		s.flood(c.queue)
	}
	return woken
}

func (s *sharing) has(name string) (n int) {
	for _, of := range s.out {
		if of == name {
			n++
		}
	}
	return n
}

func TestAFloodDoesNotStarveAnotherQueue(t *testing.T) {
	s := newSharing(t, 8, map[string]float64{"flood": 1, "other": 1})
	s.flood("flood")
	if s.has("flood") != 8 {
		t.Fatal("one queue alone may have all slots")
	}
	s.flood("other")
	for n := range 4 {
		if got := s.end(slices.Index(s.out, "flood")); got != "other" {
			t.Fatalf("slot %d that came free went to %q", n, got)
		}
		s.check()
	}
	if s.has("flood") != 4 || s.has("other") != 4 {
		t.Fatalf("%v", s.out)
	}
}

func TestSharesHoldInSlotsWhateverTheTasksTake(t *testing.T) {
	for _, c := range []struct {
		slots  int
		shares map[string]float64
	}{
		{8, map[string]float64{"slow": 1, "fast": 1}},
		{8, map[string]float64{"slow": 1, "fast": 3}},
		{20, map[string]float64{"slow": 3, "fast": 1, "more": 1}},
		{100, map[string]float64{"slow": 0.1, "fast": 0.7, "more": 0.2}},
	} {
		s := newSharing(t, c.slots, c.shares)
		rng := rand.New(rand.NewPCG(1, 1))
		total := 0.0
		for name, share := range c.shares {
			s.flood(name)
			total += share
		}
		sum := map[string]float64{}
		rounds := 0
		const settled, all = 4000, 6000
		for rounds < all {
			i := rng.IntN(len(s.out))
			if s.out[i] == "slow" && rng.IntN(10) > 0 {
				continue // Its tasks take ten times as long.
			}
			s.end(i)
			if rounds++; rounds > settled {
				for _, name := range s.out {
					sum[name]++
				}
			}
		}
		s.check()
		for name, share := range c.shares {
			got, want := sum[name]/(all-settled), float64(c.slots)*share/total
			if math.Abs(got-want) > 0.6 {
				t.Errorf("%d slots, shares %v: %s has %.2f on average, want %.2f", c.slots, c.shares, name, got, want)
			}
		}
	}
}

func TestQueuesTakeTurnsByShareAtASingleSlot(t *testing.T) {
	s := newSharing(t, 1, map[string]float64{"a": 3, "b": 1})
	s.flood("a")
	s.flood("b")
	counts := map[string]int{}
	longest, in := 0, 0
	for range 4000 {
		got := s.end(0)
		counts[got]++
		if in++; got == "b" {
			longest, in = max(longest, in), 0
		}
	}
	if counts["a"] != 3000 || counts["b"] != 1000 || longest > 5 {
		t.Errorf("slots went to %v, and b waited for up to %d", counts, longest)
	}
}

func TestASlotIsNeverIdleWhileOneQueueWaits(t *testing.T) {
	s := newSharing(t, 6, map[string]float64{"a": 1, "b": 100})
	s.flood("a")
	s.flood("b")
	for range 6 {
		s.end(0)
	}
	// b has nothing more: what it leaves goes to a, whatever the shares say.
	for name := range s.queues {
		delete(s.queues, name)
	}
	s.queues["a"] = settings("a")
	for range 20 {
		s.engine.take()
		name := s.out[0]
		s.out = s.out[1:]
		s.Release(s.worker.Ref().Session, name, partition.Use{Slots: 1})
		s.clock.Advance(3 * round) // Nobody fetches what is held for b.
		s.worker.Heard()
		s.flood("a")
		s.check()
	}
	if s.has("a") != 6 {
		t.Errorf("%v", s.out)
	}
}

func TestWeightsHoldInAClosedLoop(t *testing.T) {
	weights := map[string]float64{"a": 1, "b": 2, "c": 5}
	for _, policy := range []string{task.BalanceWeighted, task.BalanceLeastInflight} {
		b := newBench(t, func(c *Config) { c.SlowStart = -1 })
		for id, weight := range weights {
			b.hello(Hello{WorkerID: id, Queues: []string{"q"}, Slots: 1000, Weight: weight})
		}
		q := settings("q", func(q *task.Queue) { q.Balance.Policy = policy })
		rng := rand.New(rand.NewPCG(2, 2))
		var out []uint64
		got := map[string]float64{}
		const picks = 10_000
		for n := range picks + 200 {
			w, _, _ := b.Assign(0, q, task.Placement{}, "", 1)
			out = append(out, w.Session)
			if n < 200 {
				continue
			}
			got[w.ID]++
			i := rng.IntN(len(out))
			b.Release(out[i], "q", partition.Use{Slots: 1})
			out[i] = out[len(out)-1]
			out = out[:len(out)-1]
		}
		for id, weight := range weights {
			if share := got[id] / picks; math.Abs(share-weight/8) > 0.01 {
				t.Errorf("%s: %s of weight %v got %.4f of the tasks", policy, id, weight, share)
			}
		}
	}
}

// A slot that comes free, also one of the prefetch, belongs to who waits for it,
// however often somebody else asks who never waited.
func TestWhoWaitsComesBeforeWhoHasNotAskedYet(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 8, "flood", "steady")
	s.Prefetch(8)
	got := map[string]int{}
	var running []string
	take := func(part int, name string) bool {
		if b.assign(part, settings(name), "") == 0 {
			return false
		}
		running = append(running, name)
		got[name]++
		return true
	}
	for take(0, "flood") {
	}
	clear(got)
	for n := range 1000 {
		ended := running[0]
		running = running[1:]
		b.Release(s.Ref().Session, ended, partition.Use{Slots: 1})
		for _, c := range b.engine.take() {
			for more := true; more; {
				more = take(c.part, c.queue) && c.queue == "flood"
			}
		}
		if n%20 != 0 { // The other queue nearly always has another task.
			take(1+n%16, "steady")
		}
	}
	if got["flood"] < 450 || got["steady"] < 450 {
		t.Errorf("of 1000 slots the flood got %d and the other queue %d, want about half each", got["flood"], got["steady"])
	}
}
