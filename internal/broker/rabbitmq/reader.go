package rabbitmq

import (
	"context"
	"fmt"
	"sync"
	"time"

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
	window window   // of the channel of now
	known  register // parcels that the server was not told of, also over earlier channels
	told   int      // how many of known the server was told of
	next   broker.Position
	ready  []shipment             // received and not handed out
	again  map[identity][]*parcel // those of known that did not come over the channel of now
	open   int64                  // parcels that came over the channel of now and are not settled; resting: less those that are settled
	ahead  int                    // bytes of ready
	doubt  doubt
	willed bool // what is partly settled was left to the next reader

	alone   bool    // link is this reader's only
	stopped *stream // is not read, because ahead is too much
	resting bool    // not subscribed until ready is empty

	wake   chan struct{} // something is ready
	acks   chan struct{} // something was settled
	needed chan struct{} // nothing is ready while it rests
	once   sync.Once
	cause  error              // why it ended
	over   chan struct{}      // closed when it ended
	stop   context.CancelFunc // ends what the goroutine waits for

	unlink context.CancelFunc // ends link, if it is this reader's only
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
	b.fence.announce(life, l, epoch, true)
	return r, nil
}

// newReader returns a reader, and a context that ends with it.
func newReader(b *Broker, q *queue, l *log, epoch uint64) (*reader, context.Context) {
	life, stop := context.WithCancel(context.Background())
	return &reader{
		b: b, queue: q, log: l, link: b.readers[l.part%len(b.readers)], epoch: epoch,
		next: 1, again: map[identity][]*parcel{}, doubt: newDoubt(),
		wake: make(chan struct{}, 1), acks: make(chan struct{}, 1), needed: make(chan struct{}, 1),
		over: make(chan struct{}), stop: stop, unlink: func() {},
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
	r.doubt.asked(len(r.ready) == 0)
	if len(r.ready) == 0 {
		if r.resting {
			signal(r.needed)
		}
		return nil
	}
	out := make([]broker.Delivery, 0, min(max(1, limit.Tasks), r.atLeast()))
	for size := 0; len(r.ready) > 0 && len(out) < max(1, limit.Tasks) && (limit.Bytes <= 0 || size < limit.Bytes); {
		s := &r.ready[0]
		d := s.take()
		out = append(out, d)
		size += len(d.Body)
		r.ahead -= len(d.Body)
		if s.over() {
			r.doubt.gave(s.parcel.identity.stamp)
			*s = shipment{}
			r.ready = r.ready[1:]
		}
	}
	if len(r.ready) == 0 {
		r.ready = nil
	}
	if r.ahead <= r.b.cfg.ReadAhead/2 {
		r.readOn()
	}
	return out
}

// atLeast is how many tasks are ready, or more than one read takes at a time.
func (r *reader) atLeast() int {
	const most = 4096
	n := 0
	for i := range r.ready {
		if n += r.ready[i].parcel.tasks - r.ready[i].parcel.given; n >= most {
			return n
		}
	}
	return n
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
	var parcels, tasks, bytes int64
	now := time.Now()
	r.mu.Lock()
	// Under the lock: what is settled now is told, or left to the next reader.
	if err := r.ended(); err != nil {
		r.mu.Unlock()
		return err
	}
	for _, position := range positions {
		p := r.known.find(position)
		if p == nil {
			continue
		}
		size, ok := p.settle(position, now)
		if !ok {
			continue
		}
		tasks++
		bytes += int64(size)
		if p.settled() {
			parcels++
			r.complete(p)
		}
	}
	r.mu.Unlock()
	if tasks == 0 {
		return nil
	}
	r.queue.gauge.leave(parcels, tasks, bytes)
	r.b.metrics.settled.Add(float64(tasks))
	if parcels > 0 {
		signal(r.acks)
	}
	return nil
}

// complete notes that the last task of a parcel was settled; mu is held. A parcel
// that did not come over the channel of now is acked when it does; until a reader
// that rests subscribes, the server counts it as ready.
func (r *reader) complete(p *parcel) {
	switch {
	case p.tag != 0:
		r.window.settle()
		r.open--
	case r.resting:
		r.open--
	}
}

// held is how many messages the reader was given by the server and has not settled,
// less those that it settled and the server has. coming is how many more may be on
// their way to it.
func (r *reader) held() (held, coming int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.doubt.begun.IsZero() {
		return r.open, 0
	}
	return r.open, int64(max(0, r.b.cfg.Prefetch-len(r.window.parcels)+r.window.acked))
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
