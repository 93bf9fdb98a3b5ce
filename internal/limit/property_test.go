package limit

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// crowd is partitions that always have more to start, over one limiter.
type crowd struct {
	t       *testing.T
	rng     *rand.Rand
	clock   *handClock
	limiter *Limiter
	most    int
	running int           // leases, or tasks that run by themselves
	starts  []time.Time   // of tasks, in order
	turns   map[int]int   // starts by partition
	longest time.Duration // of a task
}

// work starts what the partition may start.
func (c *crowd) work(part int) {
	for {
		want, together := 1+c.rng.IntN(9), c.rng.IntN(2) == 0
		running, n := 1, c.limiter.Take(part, "q", 1, false)
		if n == 0 {
			return
		}
		if c.rng.IntN(20) == 0 { // No worker has room.
			c.limiter.Give(part, "q", 1, 1)
			c.clock.AfterFunc(time.Duration(c.rng.IntN(20))*time.Millisecond, func() { c.work(part) })
			return
		}
		more := c.limiter.More(part, "q", want-1, together)
		if n += more; !together {
			running += more
		}
		for range n {
			c.starts = append(c.starts, c.clock.now)
		}
		c.turns[part] += n
		for range running {
			c.running++
			c.clock.AfterFunc(time.Duration(c.rng.Int64N(int64(c.longest))), func() {
				c.running--
				c.limiter.Give(part, "q", 1, 0)
				c.work(part)
			})
		}
		if c.most > 0 && c.running > c.most {
			c.t.Fatalf("%d tasks run at a time, want at most %d", c.running, c.most)
		}
	}
}

// judge holds that no span of time has more starts than the rate allows.
func (c *crowd) judge(rate task.Rate) {
	for i := range c.starts {
		for j := i; j < len(c.starts); j += 1 + (j-i)/50 {
			span := c.starts[j].Sub(c.starts[i])
			if n, most := float64(j-i+1), float64(rate.Most())+rate.PerSecond*span.Seconds()+1e-3; n > most {
				c.t.Fatalf("%v tasks started within %v, want at most %v", n, span, most)
			}
		}
	}
}

func TestNoMoreThanTheLimitsAllowEverStartsAndNoLess(t *testing.T) {
	for _, c := range []struct {
		concurrency int
		rate        task.Rate
		parts       int
	}{
		{concurrency: 1, parts: 16},
		{concurrency: 7, parts: 4},
		{rate: task.Rate{PerSecond: 3, Burst: 1}, parts: 5},
		{rate: task.Rate{PerSecond: 100, Burst: 30}, parts: 16},
		{rate: task.Rate{PerSecond: 5000}, parts: 16},
		{concurrency: 40, rate: task.Rate{PerSecond: 500, Burst: 5}, parts: 16},
		{concurrency: 2, rate: task.Rate{PerSecond: 10000, Burst: 200}, parts: 16},
	} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%d at a time, %v a second, burst %d, seed %d", c.concurrency, c.rate.PerSecond, c.rate.Burst, seed), func(t *testing.T) {
				clock := newClock()
				w := &crowd{
					t: t, rng: rand.New(rand.NewPCG(seed, 3)), clock: clock, most: c.concurrency, turns: map[int]int{},
					longest: 40 * time.Millisecond,
				}
				var err error
				w.limiter, err = New(Config{Clock: clock, Wake: func(part int, _ string) {
					clock.AfterFunc(0, func() { w.work(part) })
				}})
				if err != nil {
					t.Fatal(err)
				}
				w.limiter.Configure(&task.Queue{Name: "q", Concurrency: c.concurrency, Rate: c.rate})
				for part := range c.parts {
					w.work(part)
				}
				const span = 1500 * time.Millisecond
				clock.pass(span)
				if c.rate.PerSecond > 0 {
					w.judge(c.rate)
				}
				reached := float64(len(w.starts))
				least := c.rate.PerSecond * span.Seconds() * 0.97
				if c.concurrency > 0 { // A task takes 20 ms in the middle.
					if runs := float64(c.concurrency) * span.Seconds() / 0.020 * 0.85; least == 0 || runs < least {
						least = runs
					}
				}
				if reached < least {
					t.Errorf("%v tasks started, want at least %v", reached, least)
				}
				for part := range c.parts {
					if fair := reached / float64(c.parts); float64(w.turns[part]) < fair/3-2 {
						t.Errorf("partition %d started %d tasks of %v, where all always have some", part, w.turns[part], reached)
					}
				}
			})
		}
	}
}
