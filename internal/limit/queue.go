package limit

import (
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/task"
)

// slice is how much of a rate goes to one lease at most, so that keys and
// partitions take turns; at least one task.
const slice = 10 * time.Millisecond

// shortestNap is how long a wait for tokens lasts at least: timers are not finer,
// and what gathers meanwhile is given out at once.
const shortestNap = time.Millisecond

// queue is the limits of one queue. All of it is under Limiter.mu.
type queue struct {
	l       *Limiter
	name    string
	bounded bool // there is a concurrency
	most    int  // the concurrency
	running int  // of all partitions, with held permits
	tokens  bucket
	slice   int // most tokens for one lease
	parts   map[int]*part
	line    []int // partitions that wait, first come first
	timer   clock.Timer
	due     time.Time             // when the timer goes off
	waits   [2]prometheus.Counter // that began: for concurrency, for the rate
}

// part is what one partition has of a queue's permits.
type part struct {
	running int
	held    bool // one is held for it
	waiting bool // it stands in line
}

func (q *queue) configure(now time.Time, settings *task.Queue) {
	most, rate := q.l.cfg.Shares.Share(settings)
	q.bounded, q.most = settings.Concurrency > 0, most
	q.tokens.set(now, settings.Rate.PerSecond > 0, rate)
	q.slice = max(1, int(rate.PerSecond*slice.Seconds()))
	q.stop() // the time until the next token is another one
}

func (q *queue) partOf(n int) *part {
	p := q.parts[n]
	if p == nil {
		p = &part{}
		q.parts[n] = p
	}
	return p
}

// room is how many of the wanted tasks may start now. together: as one.
func (q *queue) room(want int, together bool) int {
	if q.bounded {
		free := max(0, q.most-q.running)
		if !together {
			want = min(want, free)
		} else if free == 0 {
			return 0
		}
	}
	return q.tokens.whole(min(want, q.lease()))
}

// lease is the most tasks that one lease has.
func (q *queue) lease() int {
	if !q.tokens.bounded {
		return math.MaxInt
	}
	return q.slice
}

func (q *queue) use(p *part, running, tokens int) {
	p.running += running
	q.running += running
	q.tokens.take(tokens)
}

func (q *queue) take(n, want int, together bool) int {
	p := q.partOf(n)
	if p.held {
		p.held = false
		return 1 + q.beside(p, want-1, together)
	}
	got := 0
	if len(q.line) == 0 {
		got = q.room(want, together)
	}
	switch {
	case got > 0 && together:
		q.use(p, 1, got)
	case got > 0:
		q.use(p, got, got)
	case !p.waiting:
		p.waiting = true
		q.line = append(q.line, n)
		if q.full() {
			q.waits[0].Inc()
		} else {
			q.waits[1].Inc()
		}
	}
	return got
}

func (q *queue) more(n, want int, together bool) int { return q.beside(q.partOf(n), want, together) }

// beside takes permits beside one that the partition has already.
func (q *queue) beside(p *part, want int, together bool) int {
	if len(q.line) > 0 || want <= 0 {
		return 0
	}
	want = min(want, q.lease()-1)
	if together {
		got := q.tokens.whole(want)
		q.use(p, 0, got)
		return got
	}
	got := q.room(want, false)
	q.use(p, got, got)
	return got
}

func (q *queue) give(n, running, tokens int) {
	p := q.partOf(n)
	running = min(running, p.running)
	p.running -= running
	q.running -= running
	q.tokens.give(tokens)
}

func (q *queue) decline(n int) {
	p := q.partOf(n)
	if p.waiting {
		p.waiting = false
		q.line = slices.DeleteFunc(q.line, func(other int) bool { return other == n })
	}
	if p.held {
		p.held = false
		q.give(n, 1, 1)
	}
}

// full reports whether as much runs as may.
func (q *queue) full() bool { return q.bounded && q.running >= q.most }

// dispense holds permits for those who wait, one each, and returns who they are.
func (q *queue) dispense() (woken []int) {
	for len(q.line) > 0 && q.room(1, false) > 0 {
		n := q.line[0]
		q.line = slices.Delete(q.line, 0, 1)
		p := q.partOf(n)
		p.waiting, p.held = false, true
		q.use(p, 1, 1)
		woken = append(woken, n)
	}
	if len(q.line) > 0 && q.timer == nil && !q.full() {
		q.arm()
	}
	return woken
}

// arm lets the line go on as soon as there is a token.
func (q *queue) arm() {
	var timer clock.Timer
	nap := max(q.tokens.wait(), shortestNap)
	q.due = q.l.cfg.Clock.Now().Add(nap)
	timer = q.l.cfg.Clock.AfterFunc(nap, func() {
		q.l.change(q.name, func(now *queue, _ time.Time) *queue {
			if now == q && q.timer == timer {
				q.timer = nil
			}
			return now
		})
	})
	q.timer = timer
}

// stop ends the timer, if one runs.
func (q *queue) stop() {
	if q != nil && q.timer != nil {
		q.timer.Stop()
		q.timer = nil
	}
}
