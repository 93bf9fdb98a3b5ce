package embedded

import (
	"context"
	"fmt"
	"sync"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// reader implements broker.Reader.
type reader struct {
	broker *Broker
	log    *log

	// Of the goroutine that calls Next.
	page    []message         // read from the disk and not handed out yet
	held    []broker.Delivery // taken and not handed out yet
	settled bool              // what earlier readers settled is visible

	// Under log.mu.
	cursor  broker.Position // the next position to take from the tail or the disk
	waiting bool            // Next waits for wake

	window window // under log.settleMu

	wake  chan struct{}
	once  sync.Once
	cause error         // why it ended
	over  chan struct{} // closed when it ended
}

// Open implements broker.Broker.
func (b *Broker) Open(_ context.Context, name string, partition int, epoch uint64) (broker.Reader, error) {
	q, err := b.find(name)
	if err != nil {
		return nil, fmt.Errorf("open reader: %w", err)
	}
	if partition < 0 || partition >= len(q.logs) {
		return nil, task.Errorf(task.CodeInvalidArgument, "queue %q has %d partitions: there is no partition %d", name, len(q.logs), partition)
	}
	b.order.Lock()
	defer b.order.Unlock()
	if b.closed {
		return nil, fmt.Errorf("open reader of queue %q: %w", name, broker.ErrClosed)
	}
	if q.removed {
		return nil, fmt.Errorf("open reader: %w: %q was removed", broker.ErrNoQueue, name)
	}
	l := q.logs[partition]
	if epoch < l.epoch {
		return nil, fmt.Errorf("open reader of queue %q, partition %d, epoch %d: %w: epoch %d", name, partition, epoch, broker.ErrFenced, l.epoch)
	}
	l.epoch = epoch
	r := &reader{broker: b, log: l, wake: make(chan struct{}, 1), over: make(chan struct{})}
	l.replace(r, fmt.Errorf("%w: epoch %d", broker.ErrFenced, epoch))
	return r, nil
}

// end makes Next and Settle fail with the cause from now on.
func (r *reader) end(cause error) {
	r.once.Do(func() {
		r.cause = cause
		close(r.over)
	})
}

// ended returns why the reader ended, or nil.
func (r *reader) ended() error {
	select {
	case <-r.over:
		return fmt.Errorf("reader of queue %q, partition %d: %w", r.log.queue.decl.Load().Queue, r.log.part, r.cause)
	default:
		return nil
	}
}

func (r *reader) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Close implements broker.Reader.
func (r *reader) Close(context.Context) error {
	l := r.log
	l.settleMu.Lock()
	defer l.settleMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reader == r {
		l.reader = nil
		l.dropTail()
	}
	r.end(broker.ErrClosed)
	return nil
}

// Next implements broker.Reader.
func (r *reader) Next(ctx context.Context, limit broker.Limit) ([]broker.Delivery, error) {
	limit.Tasks = max(1, limit.Tasks)
	for {
		if err := r.ended(); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("read next messages: %w", context.Cause(ctx))
		}
		if len(r.held) == 0 {
			r.take(limit)
		}
		if len(r.held) > 0 {
			return r.handOut(ctx)
		}
		if err := r.fillOrWait(ctx); err != nil {
			return nil, err
		}
	}
}

// take moves messages from the page or the tail into held.
func (r *reader) take(limit broker.Limit) {
	if len(r.page) > 0 {
		r.takePage(limit)
		return
	}
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reader != r || r.cursor < l.tailStart() || l.tail.n == 0 {
		return
	}
	before := l.tail.bytes
	r.held = make([]broker.Delivery, 0, min(limit.Tasks, l.tail.n))
	size := 0
	for l.tail.n > 0 && len(r.held) < limit.Tasks && (limit.Bytes <= 0 || size < limit.Bytes) {
		m := l.tail.front()
		size += len(m.body)
		r.held = append(r.held, broker.Delivery{Position: m.pos, ID: m.id, Body: m.body})
		l.tail.pop()
	}
	if n := len(r.held); n > 0 {
		r.cursor = r.held[n-1].Position + 1
	}
	l.memory.used.Add(int64(l.tail.bytes - before))
}

func (r *reader) takePage(limit broker.Limit) {
	r.held = make([]broker.Delivery, 0, min(limit.Tasks, len(r.page)))
	size, n := 0, 0
	for n < len(r.page) && n < limit.Tasks && (limit.Bytes <= 0 || size < limit.Bytes) {
		m := &r.page[n]
		size += len(m.body)
		r.held = append(r.held, broker.Delivery{Position: m.pos, ID: m.id, Body: m.body})
		n++
	}
	r.page = r.page[n:]
}

// handOut makes the mark durable that covers what is held, marks what is fresh,
// and gives it to the caller.
func (r *reader) handOut(ctx context.Context) ([]broker.Delivery, error) {
	l := r.log
	last := r.held[len(r.held)-1].Position
	if err := r.reserve(ctx, last); err != nil {
		return nil, err
	}
	l.settleMu.Lock()
	defer l.settleMu.Unlock()
	if err := r.ended(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	fresh := l.handedOut
	l.handedOut = max(fresh, last+1)
	l.mu.Unlock()
	out := r.held
	r.held = nil
	for i := range out {
		d := &out[i]
		d.Fresh = d.Position >= fresh
		r.window.push(d.Position, logHeaderSize+len(d.Body))
	}
	r.broker.metrics.delivered.Add(float64(len(out)))
	return out, nil
}

// Settle implements broker.Reader. Positions that were settled before, or that
// this reader was not given, are passed over.
func (r *reader) Settle(_ context.Context, positions ...broker.Position) error {
	l := r.log
	l.settleMu.Lock()
	defer l.settleMu.Unlock()
	if err := r.ended(); err != nil {
		return err
	}
	batch := r.broker.db.NewBatch()
	var tasks, bytes int64
	key := make([]byte, logKeySize)
	for _, pos := range positions {
		size, ok := r.window.settle(pos)
		if !ok {
			continue
		}
		putLogKey(key, l.queue.number, l.part, pos)
		batch.DeleteSized(key, size)
		tasks++
		bytes += int64(size - logHeaderSize)
	}
	if tasks == 0 {
		batch.Discard()
		return nil
	}
	r.window.trim()
	l.settled.pos = r.window.base
	l.settled.tasks += tasks
	l.settled.bytes += bytes
	key, value := batch.SetInPlace(stateKeySize, countsRowSize)
	putStateKey(key, l.queue.number, l.part, stateSettled)
	l.settled.put(value)
	r.broker.db.CommitLater(batch, nil)
	l.queue.tasks.Add(-tasks)
	l.queue.bytes.Add(-bytes)
	r.broker.metrics.settled.Add(float64(tasks))
	return nil
}
