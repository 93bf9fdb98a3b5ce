package rabbitmq

import (
	"context"
	"fmt"
	"sync"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// reader implements broker.Reader. A goroutine of its own subscribes, receives
// and acks; Next and Settle only touch what is in memory.
type reader struct {
	b     *Broker
	queue *queue
	log   *log
	link  *link
	epoch uint64

	mu     sync.Mutex
	window window // of the channel of now
	// before is the position before the first of this channel: a message has the
	// position before + tag, unless it was handed out over an earlier channel.
	before  broker.Position
	ready   []message // received and not handed out
	earlier map[broker.Position]*held
	again   map[identity][]*held // those of earlier that did not come again yet
	tasks   int64                // received and not settled
	ahead   int                  // bytes of ready
	alone   bool                 // link is this reader's only
	stopped *stream              // is not read, because ahead is too much

	wake  chan struct{} // something is ready
	acks  chan struct{} // something was settled
	once  sync.Once
	cause error              // why it ended
	over  chan struct{}      // closed when it ended
	stop  context.CancelFunc // ends what the goroutine waits for

	unlink context.CancelFunc // ends link, if it is this reader's only
}

// message is a received message that was not handed out.
type message struct {
	tag  uint64
	id   task.ID
	body []byte
}

// Open implements broker.Broker. It does not wait for the server to deliver: that
// it does when an earlier reader, here or in another process, is gone. A reader of
// a lower or the same epoch is told to go.
//
//nolint:contextcheck // The reader's goroutine outlives the call that opens it.
func (b *Broker) Open(ctx context.Context, name string, partition int, epoch uint64) (broker.Reader, error) {
	if b.isClosed() {
		return nil, closedError("open reader of queue " + name)
	}
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	q, err := b.find(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open reader: %w", err)
	}
	if partition < 0 || partition >= len(q.logs) {
		return nil, task.Errorf(task.CodeInvalidArgument, "queue %q has %d partitions: there is no partition %d", name, len(q.logs), partition)
	}
	l := q.logs[partition]
	r, life := newReader(b, q, l, epoch)
	if err := l.replace(r); err != nil {
		r.end(err)
		return nil, fmt.Errorf("open reader of queue %q, partition %d, epoch %d: %w", name, partition, epoch, err)
	}
	if !b.spawn(func() { r.run(life) }) {
		r.end(broker.ErrClosed)
		return nil, closedError("open reader of queue " + name)
	}
	b.spawn(func() { b.fence.announce(life, l, epoch, true) })
	return r, nil
}

// newReader returns a reader, and a context that ends with it.
func newReader(b *Broker, q *queue, l *log, epoch uint64) (*reader, context.Context) {
	life, stop := context.WithCancel(context.Background())
	return &reader{
		b: b, queue: q, log: l, link: b.readers[l.part%len(b.readers)], epoch: epoch,
		window: newWindow(), earlier: map[broker.Position]*held{}, again: map[identity][]*held{},
		wake: make(chan struct{}, 1), acks: make(chan struct{}, 1), over: make(chan struct{}), stop: stop, unlink: func() {},
	}, life
}

// replace makes r the reader of the log, unless a higher epoch was heard of.
func (l *log) replace(r *reader) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.epoch < l.epoch {
		return fmt.Errorf("%w: epoch %d", broker.ErrFenced, l.epoch)
	}
	l.epoch = r.epoch
	if l.reader != nil {
		l.reader.end(fmt.Errorf("%w: epoch %d", broker.ErrFenced, r.epoch))
	}
	l.reader = r
	return nil
}

// end makes Next and Settle fail with the cause from now on, and the goroutine
// leave.
func (r *reader) end(cause error) {
	r.once.Do(func() {
		r.cause = cause
		close(r.over)
		r.stop()
	})
}

// ended returns why the reader ended, or nil.
func (r *reader) ended() error {
	select {
	case <-r.over:
		return fmt.Errorf("reader of queue %q, partition %d: %w", r.queue.name, r.log.part, r.cause)
	default:
		return nil
	}
}

// Close implements broker.Reader. It does not wait: what was settled is told to
// the server by the reader's goroutine, which the broker's Close waits for.
func (r *reader) Close(context.Context) error {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	if r.log.reader == r {
		r.log.reader = nil
	}
	r.end(broker.ErrClosed)
	return nil
}

// Next implements broker.Reader. No message is called fresh: what was published
// twice is in the log twice.
func (r *reader) Next(ctx context.Context, limit broker.Limit) ([]broker.Delivery, error) {
	for {
		if err := r.ended(); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("read next messages: %w", context.Cause(ctx))
		}
		if out := r.handOut(limit); len(out) > 0 {
			r.b.metrics.delivered.Add(float64(len(out)))
			return out, nil
		}
		select {
		case <-r.wake:
		case <-r.over:
		case <-ctx.Done():
		}
	}
}

// handOut gives what is ready, up to the limit.
func (r *reader) handOut(limit broker.Limit) []broker.Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, size := 0, 0
	for n < len(r.ready) && n < max(1, limit.Tasks) && (limit.Bytes <= 0 || size < limit.Bytes) {
		size += len(r.ready[n].body)
		n++
	}
	if n == 0 {
		return nil
	}
	out := make([]broker.Delivery, n)
	for i := range out {
		m := &r.ready[i]
		out[i] = broker.Delivery{Position: r.before + broker.Position(m.tag), ID: m.id, Body: m.body}
		r.window.at(m.tag).state = isGiven
	}
	clear(r.ready[:n])
	if r.ahead -= size; r.ahead <= r.b.cfg.ReadAhead/2 {
		r.readOn()
	}
	if r.ready = r.ready[n:]; len(r.ready) == 0 {
		r.ready = nil
	}
	return out
}

// readOn ends a stop of reading; mu is held.
func (r *reader) readOn() {
	if r.stopped != nil {
		r.stopped.resumeReading()
		r.stopped = nil
	}
}

// Settle implements broker.Reader. Positions that were settled before, or that
// this reader was not given, are passed over.
func (r *reader) Settle(_ context.Context, positions ...broker.Position) error {
	if err := r.ended(); err != nil {
		return err
	}
	r.mu.Lock()
	var tasks, bytes int64
	for _, position := range positions {
		if size, ok := r.settle(position); ok {
			tasks++
			bytes += int64(size)
		}
	}
	r.tasks -= tasks
	r.mu.Unlock()
	if tasks == 0 {
		return nil
	}
	r.queue.gauge.leave(tasks, bytes)
	r.b.metrics.settled.Add(float64(tasks))
	signal(r.acks)
	return nil
}

// settle marks one position; mu is held.
func (r *reader) settle(position broker.Position) (size uint32, ok bool) {
	if position <= r.before {
		h := r.earlier[position]
		if h == nil || h.settled {
			return 0, false
		}
		h.settled = true
		if e := r.window.at(h.tag); e != nil {
			r.window.settle(e)
		}
		return h.size, true
	}
	e := r.window.at(uint64(position - r.before))
	if e == nil || e.state != isGiven || e.held != nil {
		return 0, false
	}
	r.window.settle(e)
	return e.size, true
}

// held is how many messages the reader was given by the server and has not
// settled.
func (r *reader) held() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tasks
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
