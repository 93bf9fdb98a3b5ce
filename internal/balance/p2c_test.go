package balance

import (
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

func TestP2CTakesTheCheaperOfTwo(t *testing.T) {
	for _, c := range []struct {
		name     string
		inFlight [2]int
		took     [2]time.Duration
		weights  [2]float64
		want     int
	}{
		{"load decides among equally fast ones", [2]int{5, 4}, [2]time.Duration{1, 1}, [2]float64{1, 1}, 1},
		{"speed decides among equally loaded ones", [2]int{5, 5}, [2]time.Duration{1, 2}, [2]float64{1, 1}, 0},
		{"a slow one is worth it when the fast one is full enough", [2]int{29, 1}, [2]time.Duration{1, 10}, [2]float64{1, 1}, 1},
		{"a slow one is not worth it before", [2]int{15, 1}, [2]time.Duration{1, 10}, [2]float64{1, 1}, 0},
		{"weight counts", [2]int{5, 3}, [2]time.Duration{1, 1}, [2]float64{2, 1}, 0},
		{"load counts before anything is known", [2]int{5, 3}, [2]time.Duration{}, [2]float64{1, 1}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, p := newFleet(1000, c.weights[:]...), picker(t, task.BalanceP2C)
			for i := range 2 {
				for range c.inFlight[i] {
					f.take(i)
				}
				if c.took[i] > 0 {
					f.Observe(i, c.took[i]*time.Millisecond)
				}
			}
			for range 20 {
				if i, ok := p.Pick(&f.Pool, ""); !ok || i != c.want {
					t.Fatalf("got %d, %v", i, ok)
				}
			}
		})
	}
}

func TestP2CNeverTakesTheCostliest(t *testing.T) {
	f, p := newFleet(1000, equal(10)...), picker(t, task.BalanceP2C)
	for i := range f.Len() {
		f.Observe(i, time.Millisecond<<i)
	}
	got := count(picks(f, p, 9000), 10)
	// Two of ten: worker i wins against the 9-i that are slower, of 45 pairs.
	for i, n := range got {
		if share := float64(9-i) / 45; deviates(n, 9000, share) {
			t.Errorf("worker %d has %d picks, want about %.0f", i, n, 9000*share)
		}
	}
}

func TestP2CFindsTheCheapestOfTheFewThatHaveASlot(t *testing.T) {
	for _, ahead := range []bool{false, true} {
		f, p := newFleet(1000, equal(1000)...), picker(t, task.BalanceP2C)
		free := []int{100, 500, 900}
		for i, w := range f.workers {
			f.Observe(i, time.Duration(2000-i)*time.Millisecond)
			if !slices.Contains(free, i) {
				w.Free = 0
			} else if ahead {
				w.Ahead = w.Free
			}
		}
		for range 20 {
			if i, ok := p.Pick(&f.Pool, ""); !ok || i != 900 {
				t.Fatalf("prefetch %v: got %d, %v", ahead, i, ok)
			}
		}
	}
}

func TestP2CDrawsByWeightAndSharesByIt(t *testing.T) {
	for _, n := range sizes {
		f, p := newFleet(1_000_000, mixed(n)...), picker(t, task.BalanceP2C)
		number := 200 * n
		for range number {
			i, _ := p.Pick(&f.Pool, "")
			f.take(i)
		}
		for i, w := range f.workers {
			want := float64(number) * f.weights[i] / f.total()
			if math.Abs(float64(w.InFlight)-want) > 0.1*want {
				t.Errorf("%d workers: worker %d of weight %v has %d, want about %.0f", n, i, f.weights[i], w.InFlight, want)
			}
		}
	}
}

func TestP2CKeepsTheFirstUnlessTheSecondIsClearlyBetter(t *testing.T) {
	for _, c := range []struct {
		slower time.Duration // the second worker's time, the first one's is 100 ms
		share  float64       // of the first
	}{{100, 0.5}, {140, 0.5}, {160, 1}, {60, 0}} {
		f, p := newFleet(1000, 1, 1), picker(t, task.BalanceP2C)
		f.Observe(0, 100*time.Millisecond)
		f.Observe(1, c.slower*time.Millisecond)
		if got := count(picks(f, p, 4000), 2); deviates(got[0], 4000, c.share) {
			t.Errorf("against one that takes %d%% as long it has %d of 4000, want about %.0f", c.slower, got[0], 4000*c.share)
		}
	}
}

// A newcomer, of which nothing is known, gets what a typical worker gets: its
// share, and not all slots at once.
func TestP2CNeitherFloodsNorStarvesANewcomer(t *testing.T) {
	for _, typical := range []time.Duration{time.Microsecond, time.Millisecond, time.Minute} {
		f, p := newFleet(1000, equal(9)...), picker(t, task.BalanceP2C)
		f.Tick(0)
		for i := range f.Len() {
			f.Observe(i, typical)
		}
		f.join(1)
		for range 1000 {
			i, _ := p.Pick(&f.Pool, "")
			f.take(i)
		}
		if got := f.workers[9].InFlight; got < 80 || got > 120 {
			t.Errorf("tasks of %v: the newcomer has %d of 1000, want about 100", typical, got)
		}
	}
}

// A worker that was slow gets little, but the less is known of it, the more.
func TestP2CTriesAWorkerAgainThatWasSlow(t *testing.T) {
	f, p := newFleet(1000, equal(4)...), picker(t, task.BalanceP2C)
	now := time.Duration(0)
	f.Tick(now)
	work := func() {
		for k := range 300 {
			f.Observe(k%3, time.Millisecond)
		}
	}
	f.Observe(3, 100*time.Millisecond)
	work()
	var share []int
	for range 4 {
		for range 200 {
			i, _ := p.Pick(&f.Pool, "")
			f.take(i)
		}
		share = append(share, f.workers[3].InFlight)
		for i, w := range f.workers {
			for w.InFlight > 0 {
				f.give(i)
			}
		}
		now += 2 * memory
		f.Tick(now)
		work()
	}
	if !slices.IsSorted(share) || share[0] > 3 || share[3] < 30 {
		t.Errorf("of 200 tasks it gets %v as time goes by, want from almost none up to about 50", share)
	}
	f.Observe(3, 100*time.Millisecond)
	picked := 0
	for range 100 {
		if i, _ := p.Pick(&f.Pool, ""); i == 3 {
			picked++
		}
	}
	if picked > 0 {
		t.Errorf("still slow, it is picked %d times of 100 while it is idle", picked)
	}
}

func BenchmarkObserve(b *testing.B) {
	f := newFleet(1, equal(100)...)
	f.Tick(0)
	k := 0
	for b.Loop() {
		f.Observe(k%100, time.Duration(k))
		k++
	}
}

func BenchmarkTick(b *testing.B) {
	for _, n := range sizes {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			f := newFleet(1, equal(n)...)
			now := time.Duration(0)
			for b.Loop() {
				now += 100 * time.Millisecond
				f.Tick(now)
			}
		})
	}
}
