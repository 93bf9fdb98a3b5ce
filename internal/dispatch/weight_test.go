package dispatch

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// worker1 is what is known of a connected worker.
func (b *bench) worker1(id string) Worker {
	b.t.Helper()
	for _, w := range b.Workers() {
		if w.ID == id {
			return w
		}
	}
	b.t.Fatalf("%s is not connected", id)
	return Worker{}
}

// pass lets time pass in which all workers are heard.
func (b *bench) pass(d time.Duration) {
	for ; d > 0; d -= round {
		b.clock.Advance(min(d, round))
		for _, s := range *b.live.Load() {
			s.Heard()
		}
	}
}

// spread assigns n slots of the queue "q" and releases them; it returns how many
// each worker got.
func (b *bench) spread(n int, place task.Placement) map[string]int {
	b.t.Helper()
	got := map[string]int{}
	var out []uint64
	for range n {
		w, _, ok := b.Assign(0, settings("q"), place, "", 1)
		if !ok {
			b.t.Fatal("no room")
		}
		got[w.ID]++
		out = append(out, w.Session)
	}
	for _, session := range out {
		b.Release(session, "q", partition.Use{Slots: 1})
	}
	return got
}

func (b *bench) near(what string, got, want float64) {
	b.t.Helper()
	if math.Abs(got-want) > 1e-9 {
		b.t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestASetWeightCountsAtOnce(t *testing.T) {
	b := newBench(t, func(c *Config) { c.SlowStart = -1 })
	b.worker("a", 1000)
	b.worker("b", 1000)
	if got := b.spread(100, task.Placement{}); got["a"] != 50 {
		t.Fatalf("before it is set: %v", got)
	}
	for weight, want := range map[float64]int{3: 75, 9: 90, 0: 50} {
		w, err := b.SetWeight("a", weight)
		if err != nil || w.WeightIsSet != (weight > 0) || w.Weight != max(1, weight) || w.EffectiveWeight != w.Weight {
			t.Fatalf("%+v, %v", w, err)
		}
		if got := b.spread(100, task.Placement{}); got["a"] != want {
			t.Errorf("with weight %v: %v", weight, got)
		}
		b.check()
	}
}

func TestASetWeightMovesKeysOnlyToOrFromItsWorker(t *testing.T) {
	b := newBench(t, func(c *Config) { c.SlowStart = -1 })
	for i := range 10 {
		b.worker("w"+strconv.Itoa(i), 1)
	}
	q := settings("q", func(q *task.Queue) { q.Balance.Policy = task.BalanceConsistentHash })
	homes := func() (of []string) {
		for key := range 2000 {
			w, n, _ := b.Assign(0, q, task.Placement{}, strconv.Itoa(key), 1)
			b.Release(w.Session, "q", partition.Use{Slots: n})
			of = append(of, w.ID)
		}
		return of
	}
	before := homes()
	if _, err := b.SetWeight("w3", 2); err != nil {
		t.Fatal(err)
	}
	moved := 0
	for key, home := range homes() {
		if home != before[key] {
			if moved++; home != "w3" {
				t.Fatalf("key %d moved from %s to %s", key, before[key], home)
			}
		}
	}
	// Its part rises from 1/10 to 2/11.
	if moved < 110 || moved > 220 {
		t.Errorf("%d of 2000 keys moved", moved)
	}
}

func TestWhatIsSetStaysWithTheIDForAnHour(t *testing.T) {
	b := newBench(t, func(c *Config) { c.SlowStart = -1 })
	s := b.worker("w", 1)
	if _, err := b.SetWeight("w", 7); err != nil {
		t.Fatal(err)
	}
	if _, err := b.SetQuiet("w", true); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		away time.Duration
		kept bool
	}{{59 * time.Minute, true}, {59 * time.Minute, true}, {61 * time.Minute, false}} {
		s.Leave()
		b.clock.Advance(c.away)
		s = b.worker("w", 1)
		w := b.worker1("w")
		if w.WeightIsSet != c.kept || (w.Weight == 7) != c.kept || (w.State == StateQuiet) != c.kept {
			t.Fatalf("after %v away the worker is %+v", c.away, w)
		}
		if c.kept {
			b.pass(2 * time.Hour / 10)
		}
	}
	s.Leave()
	b.clock.Advance(2 * time.Second)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.records) != 0 {
		t.Errorf("%d records of workers that are forgotten", len(b.records))
	}
}

func TestAWorkerThatConnectsStartsSlowly(t *testing.T) {
	b := newBench(t)
	b.worker("old", 1000)
	b.pass(10 * time.Second)
	b.hello(Hello{WorkerID: "new", Queues: []string{"q"}, Slots: 1000, Weight: 2})
	for _, c := range []struct {
		after  time.Duration
		weight float64
	}{{0, 0.2}, {5 * time.Second, 1.1}, {5 * time.Second, 2}} {
		b.pass(c.after)
		w := b.worker1("new")
		b.near("the effective weight", w.EffectiveWeight, c.weight)
		b.near("the weight", w.Weight, 2)
		want := 1000 * c.weight / (1 + c.weight)
		if got := b.spread(1000, task.Placement{}); math.Abs(float64(got["new"])-want) > 2 {
			t.Errorf("with weight %v it got %d of 1000", c.weight, got["new"])
		}
		b.check()
	}
	if len(b.starting) != 0 {
		t.Errorf("%d still start", len(b.starting))
	}
}

func TestASlowStartLeavesNoSlotIdle(t *testing.T) {
	b := newBench(t)
	b.worker("old", 10)
	b.pass(10 * time.Second)
	b.worker("new", 10)
	q := settings("q")
	for n := range 20 {
		if b.assign(n, q, "") == 0 {
			t.Fatalf("task %d of 20 found no slot", n)
		}
	}
	b.check()
}

func TestAFleetThatStartsTogetherIsEven(t *testing.T) {
	b := newBench(t)
	b.pass(time.Minute)
	b.worker("a", 100)
	b.worker("b", 100)
	if got := b.spread(100, task.Placement{}); got["a"] != 50 {
		t.Errorf("spread %v", got)
	}
}

func TestWhoComesBackGoesOnWhereItWas(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(b *bench, s *Session)
		want float64
	}{
		{"after a broken stream", func(b *bench, s *Session) { s.Lost(); b.clock.Advance(500 * time.Millisecond) }, 1},
		{"before the break was seen", func(*bench, *Session) {}, 1},
		{"after it was given up", func(b *bench, s *Session) { s.Lost(); b.clock.Advance(2 * time.Second) }, 0.1},
		{"after it left", func(_ *bench, s *Session) { s.Leave() }, 0.1},
		{"while its old self drains", func(_ *bench, s *Session) { s.Drain() }, 0.1},
	} {
		b := newBench(t)
		s := b.worker("w", 1)
		b.pass(20 * time.Second)
		c.end(b, s)
		b.worker("w", 1)
		if got := b.worker1("w").EffectiveWeight; math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s it counts %v, want %v", c.name, got, c.want)
		}
		b.check()
	}
}

func TestNobodyStartsSlowlyWithTheNode(t *testing.T) {
	b := newBench(t)
	b.worker("a", 100)
	b.pass(2 * time.Second)
	b.worker("b", 100)
	if got := b.spread(100, task.Placement{}); got["a"] != 50 {
		t.Errorf("spread %v", got)
	}
	b.pass(2 * time.Second)
	b.worker("c", 100)
	b.near("the weight of a newcomer", b.worker1("c").EffectiveWeight, 0.1)
	b.near("the weight of those who were there", b.worker1("b").EffectiveWeight, 1)
	b.check()
}

func TestSlowStartMayBeOff(t *testing.T) {
	b := newBench(t, func(c *Config) { c.SlowStart = -1 })
	b.pass(time.Minute)
	b.worker("w", 1)
	b.near("the effective weight", b.worker1("w").EffectiveWeight, 1)
	b.check()
}

func TestAKeyThatWaitsIsServedWhereItMovesTo(t *testing.T) {
	b := newBench(t, func(c *Config) { c.SlowStart = -1 })
	b.worker("a", 1)
	b.worker("b", 1)
	q := settings("q", func(q *task.Queue) {
		q.Balance.Policy, q.Balance.Overflow = task.BalanceConsistentHash, "wait"
	})
	home := b.session(b.assign(0, q, "hot")).Ref().ID
	b.assign(1, q, "hot")
	other := map[string]string{"a": "b", "b": "a"}[home]
	if _, err := b.SetWeight(other, 1000); err != nil {
		t.Fatal(err)
	}
	if got := b.engine.woken(); len(got) != 1 || got[0] != 1 {
		t.Fatalf("woken %v, though the key has another worker now", got)
	}
	if got := b.session(b.assign(1, q, "hot")).Ref().ID; got != other {
		t.Errorf("went to %s", got)
	}
	b.check()
}
