package partition

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// feeder reads one log of a queue and hands the tasks to the core, as long as the
// window has room.
type feeder struct {
	own    *ownership
	queue  string
	rank   rank // of the band whose log it is
	reader broker.Reader

	// Every task up to a position is looked up, whether it is new or not; begun counts
	// the batches for which that was decided.
	lookUpTo atomic.Uint64
	begun    atomic.Uint64

	mu   sync.Mutex
	room broker.Limit
	wake chan struct{}
}

func newFeeder(own *ownership, queue string, b *band, reader broker.Reader) *feeder {
	f := &feeder{own: own, queue: queue, rank: b.rank, reader: reader, room: own.e.cfg.Window, wake: make(chan struct{}, 1)}
	f.lookUpTo.Store(uint64(b.marked))
	return f
}

// lookUp makes it look up everything up to a position, and returns how many batches
// may not have been.
func (f *feeder) lookUp(upTo broker.Position) (begun uint64) {
	if uint64(upTo) > f.lookUpTo.Load() { // only the core's goroutine writes it
		f.lookUpTo.Store(uint64(upTo))
	}
	return f.begun.Load()
}

// credit gives room back.
func (f *feeder) credit(tasks, bytes int) {
	f.mu.Lock()
	f.room.Tasks += tasks
	f.room.Bytes += bytes
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// wait returns what may be read now. It waits until a quarter of the window is
// free, so that a full window is not refilled in crumbs.
func (f *feeder) wait(ctx context.Context) (broker.Limit, error) {
	for {
		if room, ok := f.free(); ok {
			return room, nil
		}
		select {
		case <-ctx.Done():
			return broker.Limit{}, ctx.Err()
		case <-f.wake:
		}
	}
}

// free returns the room there is, and whether it is worth a read.
func (f *feeder) free() (room broker.Limit, ok bool) {
	window := f.own.e.cfg.Window
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.room, f.room.Tasks >= max(1, window.Tasks/4) && f.room.Bytes >= max(1, window.Bytes/4)
}

func (f *feeder) run(ctx context.Context) {
	for {
		limit, err := f.wait(ctx)
		if err != nil {
			return
		}
		deliveries, err := f.reader.Next(ctx, limit)
		var arrivals []arrival
		if err == nil {
			arrivals, err = f.identify(ctx, deliveries)
		}
		if err != nil {
			f.own.fail(fmt.Errorf("read queue %s: %w", f.queue, err))
			return
		}
		f.hand(arrivals)
	}
}

// identify decodes what was read and looks up what is known of tasks that may
// have been here before.
func (f *feeder) identify(ctx context.Context, deliveries []broker.Delivery) ([]arrival, error) {
	f.begun.Add(1)
	lookUpTo := broker.Position(f.lookUpTo.Load())
	arrivals := make([]arrival, 0, len(deliveries))
	var repeated []int
	for i := range deliveries {
		d := &deliveries[i]
		t, err := task.Decode(d.Body)
		if err != nil {
			// It stays in the log: nothing is lost, and a person can look at it.
			f.own.log.Error("task in the log cannot be read", "queue", f.queue, "position", d.Position, "error", err)
			f.own.e.counts.corrupt.Inc()
			continue
		}
		it := newItem(t, d.Body)
		it.pos = d.Position
		if !d.Fresh || d.Position <= lookUpTo {
			repeated = append(repeated, len(arrivals))
		}
		arrivals = append(arrivals, arrival{item: it})
	}
	if len(repeated) > 0 {
		if err := f.own.lookUp(ctx, arrivals, repeated); err != nil {
			return nil, err
		}
	}
	return arrivals, nil
}

// hand passes tasks on to the core.
func (f *feeder) hand(arrivals []arrival) {
	bytes := 0
	for i := range arrivals {
		bytes += arrivals[i].item.size
	}
	f.mu.Lock()
	f.room.Tasks -= len(arrivals)
	f.room.Bytes -= bytes
	f.mu.Unlock()
	f.own.mail.post(func(c *core, now time.Time) { c.delivered(now, f.queue, f.rank, arrivals) })
}

func (f *feeder) close() {
	// The context of the ownership has ended; closing a reader does not wait.
	if err := f.reader.Close(context.Background()); err != nil && !errors.Is(err, broker.ErrClosed) {
		f.own.log.Warn("reader did not close", "queue", f.queue, "error", err)
	}
}

// lookUp attaches what the store knows of some arrivals: marks and attempts.
func (own *ownership) lookUp(ctx context.Context, arrivals []arrival, which []int) error {
	keys := make([]store.Row, 0, 2*len(which))
	for _, i := range which {
		keys = append(keys, &store.Dedup{ID: arrivals[i].item.ID})
	}
	for _, i := range which {
		keys = append(keys, &store.Attempt{ID: arrivals[i].item.ID})
	}
	rows, err := own.e.cfg.Store.Get(ctx, own.part, keys)
	if err != nil {
		return fmt.Errorf("look up tasks: %w", err)
	}
	for n, i := range which {
		if mark, ok := rows[n].(*store.Dedup); ok && mark != nil {
			arrivals[i].known = mark
		}
		if attempt, ok := rows[len(which)+n].(*store.Attempt); ok && attempt != nil {
			arrivals[i].item.attach(attempt)
		}
	}
	return nil
}
