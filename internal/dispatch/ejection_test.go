package dispatch

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// ill lets a second pass in which every worker has outcomes of the queue "q", at
// 20 tasks a second, of which those that are named fail that many.
func (b *bench) ill(failed map[string]int) {
	b.t.Helper()
	for _, s := range *b.live.Load() {
		b.Release(s.Ref().Session, "q", partition.Use{Tasks: 20, Failed: failed[s.Ref().ID], Took: time.Second})
	}
	b.pass(time.Second)
}

// ejected is who is ejected from the queue "q", and why.
func (b *bench) ejected() (ids []string) {
	for _, w := range b.Workers() {
		for _, s := range w.Serving {
			if s.EjectedFor != "" && s.Queue == "q" {
				ids = append(ids, w.ID+" "+s.EjectedFor)
			}
			if (s.EjectedFor != "") != s.EjectedUntil.After(b.clock.Now()) {
				b.t.Errorf("%s is ejected for %q until %v", w.ID, s.EjectedFor, s.EjectedUntil)
			}
		}
	}
	b.check()
	return ids
}

func (b *bench) wantEjected(when string, want ...string) {
	b.t.Helper()
	if got := b.ejected(); !slices.Equal(got, want) {
		b.t.Fatalf("%s: ejected are %q, want %q", when, got, want)
	}
}

func TestWhoStandsOutIsATestOfTwoProportions(t *testing.T) {
	for _, c := range []struct {
		tasks, failed, others, othersFailed int
		want                                bool
	}{
		{20, 20, 100, 0, true},
		{10, 10, 10, 0, true},
		{20, 10, 1000, 10, true},
		{100, 50, 1000, 100, true},
		{9, 9, 1000, 0, false},        // too few tasks
		{1000, 1000, 9, 0, false},     // too few of others
		{10, 4, 1000, 0, false},       // too few failures
		{1000, 250, 1000, 0, false},   // too small a difference
		{20, 20, 1000, 1000, false},   // all fail
		{20, 20, 1000, 800, false},    // nearly all fail
		{12, 8, 20, 6, false},         // may be a coincidence
		{1000, 500, 1000, 480, false}, // as bad as the others
		{0, 0, 100, 100, false},
		{0, 0, 0, 0, false},
	} {
		mine, others := tally{c.tasks, c.failed}, tally{c.others, c.othersFailed}
		if got := mine.standsOut(others); got != c.want {
			t.Errorf("%+v among %+v stands out: %v", mine, others, got)
		}
	}
}

func TestTheWindowForgetsAfterTenSeconds(t *testing.T) {
	var w window
	for second := range uint64(40) {
		w.add(second, 3, 1)
		seconds := int(min(second+1, windowSeconds))
		if got := w.sum(second); got != (tally{3 * seconds, seconds}) {
			t.Fatalf("second %d: %+v", second, got)
		}
	}
	if got := w.sum(44); got != (tally{15, 5}) {
		t.Errorf("after 5 s without outcomes: %+v", got)
	}
	if got := w.sum(100); got != (tally{}) {
		t.Errorf("after a minute: %+v", got)
	}
}

func TestAWorkerWhoseFailuresStandOutIsEjectedForAGrowingTime(t *testing.T) {
	b := newBench(t)
	for i := range 4 {
		b.worker(fmt.Sprint("w", i), 10)
	}
	b.pass(10 * time.Second)
	bad := map[string]int{"w2": 18}
	for n := 1; n <= 4; n++ {
		b.ill(bad)
		b.wantEjected("after failures", "w2 failures")
		if got := b.spread(30, task.Placement{}); got["w2"] != 0 || len(got) != 3 {
			t.Fatalf("spread %v", got)
		}
		if b.Eligible("q", "") != 3 {
			t.Errorf("%d serve", b.Eligible("q", ""))
		}
		b.pass(time.Duration(n)*5*time.Second - 1500*time.Millisecond)
		b.wantEjected("before its time is over", "w2 failures")
		b.pass(1500 * time.Millisecond)
		b.wantEjected("after its time")
		got := b.spread(20, task.Placement{})
		if got["w2"] > 3 {
			t.Fatalf("it does not start slowly: %v", got)
		}
	}
	b.pass(62 * time.Second) // Two steps are forgiven.
	b.ill(bad)
	b.wantEjected("after good behaviour", "w2 failures")
	b.pass(14 * time.Second)
	b.wantEjected("in the 15 s of the third in a row", "w2 failures")
	b.pass(time.Second)
	b.wantEjected("after them")
}

func TestAnEjectionLastsFiveMinutesAtMost(t *testing.T) {
	for n, want := range map[int]time.Duration{0: 0, 1: 5 * time.Second, 3: 15 * time.Second, 60: 5 * time.Minute, 1000: 5 * time.Minute} {
		if got := ejectTime(n); got != want {
			t.Errorf("the %dth lasts %v, want %v", n, got, want)
		}
	}
}

func TestEjectionsAreCapped(t *testing.T) {
	for _, c := range []struct {
		name   string
		failed []int // of 20, by worker
		want   []string
	}{
		{"a lone worker never", []int{20}, nil},
		{"all fail", []int{20, 20, 20, 20}, nil},
		{"one of two", []int{20, 0}, []string{"w0 failures"}},
		{"one of three, the worst", []int{15, 20, 0}, []string{"w1 failures"}},
		{"two of four", []int{20, 0, 18, 19}, []string{"w0 failures", "w3 failures"}},
		{"two of five", []int{18, 20, 19, 0, 0}, []string{"w1 failures", "w2 failures"}},
		{"nobody", []int{1, 0, 2, 1}, nil},
	} {
		b := newBench(t)
		failed := map[string]int{}
		for i, n := range c.failed {
			b.worker(fmt.Sprint("w", i), 10)
			failed[fmt.Sprint("w", i)] = n
		}
		for range 3 {
			b.ill(failed)
		}
		got := b.ejected()
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: ejected are %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTheCapHoldsWhenOthersLeave(t *testing.T) {
	b := newBench(t)
	sessions := map[string]*Session{}
	for i := range 4 {
		id := fmt.Sprint("w", i)
		sessions[id] = b.worker(id, 1)
	}
	b.ill(map[string]int{"w0": 20, "w1": 18})
	b.wantEjected("two of four", "w0 failures", "w1 failures")
	b.assign(0, settings("q"), "")
	b.assign(0, settings("q"), "")
	b.assign(0, settings("q"), "")
	b.engine.take()
	sessions["w3"].Quiet(true)
	if got := b.ejected(); len(got) != 1 {
		t.Fatalf("of three: %q", got)
	}
	if got := b.engine.woken(); !slices.Equal(got, []int{0}) {
		t.Fatalf("woken %v by the one who is back", got)
	}
	sessions["w2"].Leave()
	if got := b.ejected(); len(got) != 1 {
		t.Fatalf("of two: %q", got)
	}
	for id, s := range sessions {
		if !strings.HasPrefix(b.ejected()[0], id) && id < "w2" {
			s.Leave()
			break
		}
	}
	b.wantEjected("the last one")
	if b.assign(0, settings("q"), "") == 0 {
		t.Error("the last worker gets nothing")
	}
}

func TestAPlacementWhoseWorkersAreAllEjectedUsesThem(t *testing.T) {
	b := newBench(t)
	b.labelled("x", 10, "zone=x")
	for i := range 3 {
		b.labelled(fmt.Sprint("y", i), 10, "zone=y")
	}
	b.spread(4, require("zone=x"))
	b.spread(4, prefer("zone=x"))
	b.ill(map[string]int{"x": 20})
	b.wantEjected("x fails", "x failures")
	if got := b.spread(4, require("zone=x")); got["x"] != 4 {
		t.Errorf("what requires x: %v", got)
	}
	if got := b.spread(4, prefer("zone=x")); got["x"] != 0 {
		t.Errorf("what prefers x: %v", got)
	}
	x2 := b.labelled("x2", 10, "zone=x")
	if got := b.spread(4, require("zone=x")); got["x2"] != 4 {
		t.Errorf("with a healthy one: %v", got)
	}
	x2.Leave()
	if got := b.spread(4, require("zone=x")); got["x"] != 4 {
		t.Errorf("without it again: %v", got)
	}
}

func TestAReconnectDoesNotEndAnEjectionAndANewProcessDoes(t *testing.T) {
	b := newBench(t)
	for i := range 3 {
		b.worker(fmt.Sprint("w", i), 1)
	}
	b.ill(map[string]int{"w1": 20})
	s := b.worker("w1", 1)
	b.wantEjected("after a reconnect", "w1 failures")
	s.Leave()
	b.worker("w1", 1)
	b.wantEjected("after it left and came again")
}

func TestAnEjectionEndsWhileItsWorkerIsQuiet(t *testing.T) {
	b := newBench(t)
	sessions := map[string]*Session{}
	for i := range 4 {
		id := fmt.Sprint("w", i)
		sessions[id] = b.worker(id, 1)
	}
	b.ill(map[string]int{"w1": 20})
	sessions["w1"].Quiet(true)
	b.pass(6 * time.Second)
	b.wantEjected("while it is quiet")
	sessions["w1"].Quiet(false)
	b.wantEjected("when it takes tasks again")
	if got := b.Eligible("q", ""); got != 4 {
		t.Errorf("%d serve", got)
	}
}

func TestAnEjectedWorkerServesItsOtherQueues(t *testing.T) {
	b := newBench(t)
	for i := range 3 {
		b.worker(fmt.Sprint("w", i), 1, "q", "other")
	}
	b.ill(map[string]int{"w1": 20})
	b.wantEjected("in q", "w1 failures")
	got := map[uint64]bool{}
	for range 3 {
		got[b.assign(0, settings("other"), "")] = true
	}
	if len(got) != 3 || got[0] {
		t.Errorf("slots of sessions %v", slices.Sorted(maps.Keys(got)))
	}
}

func TestWhatWasHeldOfAnEjectedWorkerGoesToItsOtherQueues(t *testing.T) {
	b := newBench(t)
	b.worker("w0", 1, "q", "other")
	b.worker("w1", 1, "q")
	b.assign(0, settings("q"), "")
	b.assign(0, settings("q"), "")
	b.assign(1, settings("q"), "")
	b.assign(2, settings("other"), "")
	for _, s := range *b.live.Load() {
		if s.Ref().ID == "w0" {
			b.Release(s.Ref().Session, "q", partition.Use{Slots: 1})
		}
	}
	held := b.engine.take()
	if len(held) != 1 || held[0].queue != "other" && held[0].queue != "q" {
		t.Fatalf("engine heard %+v", held)
	}
	b.mu.Lock()
	w0 := b.byName["q"].members[0]
	w0.ejection.row = 1
	b.byName["q"].eject(w0, EjectedForFailures, b.now()+time.Minute)
	var calls calls
	b.rebalance(&calls)
	b.mu.Unlock()
	b.deliver(&calls)
	if got := b.engine.take(); held[0].queue == "q" && (len(got) != 1 || got[0].queue != "other") {
		t.Errorf("engine heard %+v", got)
	}
	b.check()
}

func TestEjectionMayBeOff(t *testing.T) {
	b := newBench(t, func(c *Config) { c.NoEjection = true })
	for i := range 4 {
		b.worker(fmt.Sprint("w", i), 1)
	}
	b.ill(map[string]int{"w0": 20})
	for range 10 {
		b.worker("w1", 1)
	}
	b.wantEjected("nobody")
}

func TestAFlappingWorkerIsLetInWithAGrowingPause(t *testing.T) {
	ends := map[string]func(b *bench, s *Session){
		"away":     func(b *bench, s *Session) { s.Lost(); b.pass(1100 * time.Millisecond) },
		"silent":   func(b *bench, _ *Session) { b.clock.Advance(100 * time.Millisecond) },
		"replaced": func(*bench, *Session) {},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			for i := range 3 {
				b.worker(fmt.Sprint("w", i), 10)
			}
			s := b.worker("f", 10)
			for n := range 6 {
				end(b, s)
				s = b.worker("f", 10)
				pause := max(0, n-1) * 5
				if pause == 0 {
					b.wantEjected(fmt.Sprint("break ", n+1))
					continue
				}
				b.wantEjected(fmt.Sprint("break ", n+1), "f flapping")
				until := b.worker1("f").Serving[0].EjectedUntil.Sub(b.clock.Now())
				if until != time.Duration(pause)*time.Second {
					t.Fatalf("break %d: a pause of %v, want %d s", n+1, until, pause)
				}
				if got := b.spread(20, task.Placement{}); got["f"] != 0 {
					t.Fatalf("spread %v", got)
				}
			}
			b.pass(20 * time.Second)
			b.wantEjected("after the pause")
			b.pass(6 * time.Minute)
			b.worker("f", 10)
			b.worker("f", 10)
			b.wantEjected("after six good minutes two breaks are nothing")
		})
	}
}

func TestCleanEndsAreNoFlapping(t *testing.T) {
	b := newBench(t)
	b.worker("w", 1)
	b.worker("v", 1)
	for range 10 {
		b.worker("f", 1).Leave()
		s := b.worker("f", 1)
		s.Drain()
		s.Lost()
		b.pass(1100 * time.Millisecond)
	}
	b.worker("f", 1)
	b.wantEjected("nobody")
}

func TestAFleetThatFlapsServesWithHalfOfItAtLeast(t *testing.T) {
	for _, n := range []int{1, 2, 3, 8} {
		b := newBench(t)
		for range 10 {
			for i := range n {
				b.worker(fmt.Sprint("w", i), 1)
				b.check()
			}
		}
		if got := len(b.ejected()); got > n/2 {
			t.Errorf("%d of %d are ejected", got, n)
		}
		if b.Eligible("q", "") < n-n/2 || b.assign(0, settings("q"), "") == 0 {
			t.Errorf("%d of %d serve", b.Eligible("q", ""), n)
		}
	}
}

func TestAFlappingWorkerChangesNothingForOthersThatAreEjected(t *testing.T) {
	b := newBench(t)
	b.worker("bad", 1)
	b.worker("good", 1)
	b.ill(map[string]int{"bad": 20})
	for range 5 {
		b.worker("good", 1)
		b.wantEjected("while the good one flaps", "bad failures")
	}
}

func TestRecordsOfWorkersThatNeverComeBackGoAway(t *testing.T) {
	b := newBench(t)
	for i := range 1000 {
		b.worker(fmt.Sprint("w", i), 1).Lost()
	}
	b.clock.Advance(10 * time.Second)
	if len(b.records) != 1000 {
		t.Fatalf("%d records", len(b.records))
	}
	b.clock.Advance(time.Minute)
	if len(b.records) != 0 {
		t.Errorf("%d records are left", len(b.records))
	}
}
