package webhook

import (
	"context"
	"sync"
	"time"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/task"
)

// How long a URL that is away is left alone: twice as long each time.
const (
	firstPause = time.Second
	maxPause   = time.Minute
)

// verdictWait is how long a task is remembered whose outcome has no verdict: whoever
// owned its partition is gone, and the next owner hands the task out anew.
const verdictWait = time.Minute

// maxConflicts is how often an attempt is repeated over other records.
const maxConflicts = 5

// place names a task within the session.
type place struct {
	ref   task.LeaseRef
	index int
}

// item is a task that the target has, until what became of it is durable.
type item struct {
	place
	leased    task.Leased
	timeout   time.Duration
	records   []task.Record
	complete  bool
	conflicts int
	cancel    context.CancelFunc // of the request under way
	said      clock.Timer        // since its outcome was said; nil: it was not
}

// target pushes to one URL.
type target struct {
	hooks   *Hooks
	hook    *hook
	url     string
	weight  float64
	slots   int
	session *dispatch.Session

	mu      sync.Mutex
	open    map[place]*item
	leaving bool
	away    bool
	pauses  int // in a row
}

// run takes what dispatch sends, until the session ends.
func (t *target) run() {
	var batch dispatch.Batch
	for {
		if err := t.session.Next(t.hooks.ctx, &batch); err != nil {
			t.hooks.ended(t, err)
			return
		}
		for _, l := range batch.Leases {
			t.receive(l)
		}
		for i := range batch.Verdicts {
			t.judge(&batch.Verdicts[i])
		}
		for _, c := range batch.Cancels {
			t.cancel(place{c.LeaseRef, c.Index})
		}
		if batch.Drain {
			t.leave()
		}
	}
}

// receive begins a request for each task of a lease.
func (t *target) receive(l *task.Lease) {
	for i := range l.Tasks {
		it := &item{place: place{l.LeaseRef, i}, leased: l.Tasks[i], timeout: l.Timeout, records: l.Records, complete: l.Complete}
		if it.leased.Timeout > 0 {
			it.timeout = it.leased.Timeout
		}
		t.mu.Lock()
		t.open[it.place] = it
		t.mu.Unlock()
		t.push(it)
	}
}

// push sends the task in a goroutine of its own, and answers with what came back.
func (t *target) push(it *item) {
	ctx, cancel := context.WithTimeout(t.hooks.ctx, it.timeout)
	t.mu.Lock()
	it.cancel = cancel
	t.mu.Unlock()
	t.hooks.running.Go(func() {
		defer cancel()
		o, answered := t.deliver(ctx, it)
		if t.hooks.ctx.Err() != nil {
			return // The node stops: whether the receiver got it is unknown.
		}
		if answered {
			t.back()
		}
		t.say(it, o)
	})
}

// say hands an outcome to the engine, and forgets the task if there is no verdict.
func (t *target) say(it *item, o task.Outcome) {
	t.mu.Lock()
	it.said = t.hooks.cfg.Clock.AfterFunc(verdictWait, func() { t.forget(it) })
	t.mu.Unlock()
	t.session.Outcomes(it.ref, it.index, []task.Outcome{o})
}

// forget drops a task that waits for a verdict.
func (t *target) forget(it *item) {
	t.mu.Lock()
	if t.open[it.place] == it && it.said != nil {
		delete(t.open, it.place)
	}
	t.mu.Unlock()
	t.leaveIfDone()
}

// judge ends what is durable, and pushes again what came over old records.
func (t *target) judge(v *task.Verdict) {
	for i := range v.Count {
		p := place{v.LeaseRef, v.First + i}
		t.mu.Lock()
		it := t.open[p]
		if it != nil && it.said != nil {
			it.said.Stop()
			it.said = nil
		}
		again := it != nil && v.Kind == task.VerdictConflict
		if again {
			it.records, it.complete = v.Records, v.Complete
			it.conflicts++
		} else {
			delete(t.open, p)
		}
		t.mu.Unlock()
		switch {
		case again && it.conflicts > maxConflicts:
			t.say(it, retry("the webhook's writes did not fit the records: "+v.Error))
		case again:
			t.push(it)
		}
	}
	t.leaveIfDone()
}

// cancel ends the request of a task that somebody cancelled.
func (t *target) cancel(p place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if it := t.open[p]; it != nil {
		it.cancel()
	}
}

// leave gets nothing new, and ends the session when nothing is under way.
func (t *target) leave() {
	t.mu.Lock()
	t.leaving = true
	t.mu.Unlock()
	t.session.Drain()
	t.leaveIfDone()
}

func (t *target) leaveIfDone() {
	t.mu.Lock()
	done := t.leaving && len(t.open) == 0
	t.mu.Unlock()
	if done {
		t.session.Leave()
	}
}

// gone leaves the URL alone for a while: there is nobody.
func (t *target) gone(why error) {
	t.mu.Lock()
	if t.away || t.leaving {
		t.mu.Unlock()
		return
	}
	t.away = true
	pause := min(firstPause<<min(t.pauses, 10), maxPause)
	t.pauses++
	t.mu.Unlock()
	t.session.Quiet(true)
	t.hooks.cfg.Logger.Warn("webhook away", "queue", t.hook.queue, "url", shown(t.url), "pause", pause, "error", why)
	t.hooks.cfg.Clock.AfterFunc(pause, func() {
		t.mu.Lock()
		t.away = false
		t.mu.Unlock()
		t.session.Quiet(false)
	})
}

// back says that there is somebody again.
func (t *target) back() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pauses = 0
}
