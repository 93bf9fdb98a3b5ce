package watch

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

const (
	retryAfter  = 5 * time.Second
	lagInterval = time.Second // between two reports of a lag
	mostPings   = 64          // that wait; an answer to a later one stands for earlier ones
	unknown     = math.MaxUint64
)

// Watch hands out what its request asks for, message by message.
type Watch struct {
	h     *Hub
	want  filter
	every time.Duration // between progress messages

	cursors []*cursor
	turn    int  // cursor that is asked first
	opened  bool // where the watch begins has been told
	live    bool // that everything of the begin was handed out has been told
	told    time.Time
	lagged  time.Time     // when a lag was told last
	logging bool          // the last rows came from the log
	behind  atomic.Uint64 // entries

	wake chan struct{} // has a value when there may be something to take

	mu    sync.Mutex
	pings []ping
}

// ping is a question that is answered when all cursors have reached their goals.
type ping struct {
	id    uint64
	goals []uint64 // by cursor; unknown: not to be told before the partition is owned
}

// begin puts the cursors where the request says.
func (w *Watch) begin(ctx context.Context, req *Request, from map[int]Position) error {
	for _, c := range w.cursors {
		fence, owned := c.tail.Head()
		if !owned {
			return unserved(c.Part).WithRetryAfter(retryAfter)
		}
		c.goal = fence.Seq
		p, given := from[c.Part]
		switch {
		case given && p.Seq > fence.Seq:
			return ahead(c.Part, p.Seq, fence.Seq)
		case given:
			c.Position = p
		case req.Oldest:
			if err := c.oldest(ctx, w.h); err != nil {
				return err
			}
		default:
			c.Seq, c.Reading = fence.Seq, req.Initial
		}
	}
	return nil
}

// Close ends the watch.
func (w *Watch) Close() {
	for _, c := range w.cursors {
		c.tail.detach(w)
	}
	w.h.release(w)
}

// Ping asks for a progress message with this number once everything that is
// durable now has been handed out.
func (w *Watch) Ping(id uint64) {
	p := ping{id: id, goals: make([]uint64, len(w.cursors))}
	for i, c := range w.cursors {
		p.goals[i] = c.durable()
	}
	w.mu.Lock()
	w.pings = append(w.pings, p)
	if n := len(w.pings); n > mostPings {
		w.pings = append(w.pings[:0], w.pings[n-mostPings:]...)
	}
	w.mu.Unlock()
	w.poke()
}

// durable is the number of the last durable row, or unknown while others may
// write.
func (c *cursor) durable() uint64 {
	fence, owned := c.tail.Head()
	if !owned {
		return unknown
	}
	return fence.Seq
}

func (w *Watch) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Next returns the next message when there is one; the first one tells where the
// watch begins. An error ends the watch.
func (w *Watch) Next(ctx context.Context) (Message, error) {
	for {
		if err := w.usable(ctx); err != nil {
			return Message{}, err
		}
		if !w.opened { // So that the reader can go on from the very begin.
			w.opened = true
			return w.positions(w.h.cfg.Clock.Now()), nil
		}
		if m, ok := w.report(); ok {
			return m, nil
		}
		m, moved, err := w.advance(ctx)
		if err != nil {
			return Message{}, err
		}
		if n := len(m.Changes) + len(m.Records); n > 0 {
			w.h.metrics.entries.Add(float64(n))
			return m, nil
		}
		if moved {
			continue
		}
		if m, ok := w.progress(); ok {
			return m, nil
		}
		if err := w.wait(ctx); err != nil {
			return Message{}, err
		}
	}
}

func (w *Watch) usable(ctx context.Context) error {
	select {
	case <-w.h.closed:
		return errClosed()
	default:
		return ctx.Err()
	}
}

func errClosed() error {
	return task.Errorf(task.CodeUnavailable, "the node is stopping: watch again in a moment, from the last position").WithRetryAfter(time.Second)
}

// advance takes what is next of one cursor; they take turns.
func (w *Watch) advance(ctx context.Context) (m Message, moved bool, err error) {
	for range w.cursors {
		c := w.cursors[w.turn]
		w.turn = (w.turn + 1) % len(w.cursors)
		if c.Reading {
			m.Kind = KindRecords
			m.Records, err = c.records(ctx, w.h, &w.want)
			m.Position = c.Position
			return m, true, err
		}
		rows, moved, logged, err := c.changes(ctx, w.h, &w.want)
		if moved || err != nil {
			w.logging = logged
			return Message{Kind: KindChanges, Changes: rows, Position: c.Position}, moved, err
		}
	}
	w.logging = false
	return Message{}, false, nil
}

// report tells of a large lag, or of progress that is due although there is more
// to take.
func (w *Watch) report() (Message, bool) {
	lag := w.lag()
	w.behind.Store(lag.Entries)
	now := w.h.cfg.Clock.Now()
	if w.logging && lag.Entries > uint64(w.h.cfg.RingRows) && now.Sub(w.lagged) >= lagInterval {
		w.lagged = now
		w.h.metrics.lagging.Inc()
		return Message{Kind: KindLag, Lag: lag}, true
	}
	if now.Sub(w.told) >= w.every {
		return w.positions(now), true
	}
	return Message{}, false
}

func (w *Watch) lag() (lag Lag) {
	oldest := task.Timestamp(0)
	for _, c := range w.cursors {
		fence, _ := c.tail.Head()
		lag.Entries += fence.Seq - min(fence.Seq, c.Seq)
		if c.at != 0 && c.Seq < fence.Seq && (oldest == 0 || c.at < oldest) {
			oldest = c.at
		}
	}
	if oldest != 0 {
		lag.Age = max(0, w.h.cfg.Clock.Now().Sub(oldest.Time()))
	}
	return lag
}

// progress is told when nothing is left to take and somebody wants to know.
func (w *Watch) progress() (Message, bool) {
	if w.isLive() != w.live || w.answerable() {
		return w.positions(w.h.cfg.Clock.Now()), true
	}
	return Message{}, false
}

// isLive reports whether everything of the begin was handed out.
func (w *Watch) isLive() bool {
	if w.live {
		return true
	}
	for _, c := range w.cursors {
		if c.Reading || c.Seq < c.goal {
			return false
		}
	}
	return true
}

// positions makes a progress message, with the answers that can be given.
func (w *Watch) positions(now time.Time) Message {
	m := Message{Kind: KindProgress, Positions: make([]Position, len(w.cursors)), Lag: w.lag()}
	for i, c := range w.cursors {
		m.Positions[i] = c.Position
	}
	w.told = now
	if !w.live && w.isLive() {
		w.live, m.Live = true, true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pings) > 0 && w.reached(&w.pings[0]) {
		m.Pings = append(m.Pings, w.pings[0].id)
		w.pings = w.pings[1:]
	}
	return m
}

func (w *Watch) answerable() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pings) > 0 && w.reached(&w.pings[0])
}

// reached reports whether everything that the ping asks for was handed out.
func (w *Watch) reached(p *ping) bool {
	for i, c := range w.cursors {
		if p.goals[i] == unknown {
			p.goals[i] = c.durable() // later than the ping, so that it holds too
		}
		if c.Reading || p.goals[i] == unknown || c.Seq < p.goals[i] {
			return false
		}
	}
	return true
}

// wait returns when there may be something to hand out.
func (w *Watch) wait(ctx context.Context) error {
	left := w.every - w.h.cfg.Clock.Now().Sub(w.told)
	defer w.h.cfg.Clock.AfterFunc(max(left, time.Millisecond), w.poke).Stop()
	select {
	case <-w.wake:
		return nil
	case <-w.h.closed:
		return errClosed()
	case <-ctx.Done():
		return ctx.Err()
	}
}
