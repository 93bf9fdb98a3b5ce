package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa/internal/broker"
)

// ackDelay is how long acks out of turn are kept back: the gaps often close, and
// one ack for many messages costs the server as much as one for one.
const ackDelay = 250 * time.Millisecond

// subscription is a reader's channel, from its opening to its end.
type subscription struct {
	ch         *amqp.Channel
	session    *session
	deliveries <-chan amqp.Delivery
}

// run subscribes, again and again, until the reader ends.
func (r *reader) run(ctx context.Context) {
	defer func() {
		r.bequeath()
		r.unlink()
	}()
	delay := r.b.cfg.RetryBase
	for first := true; r.ended() == nil; first = false {
		sub, err := r.subscribe(ctx)
		if err != nil {
			if r.fatal(ctx, err) || !pause(ctx, jitter(delay)) {
				return
			}
			delay = min(2*delay, r.b.cfg.RetryMax)
			continue
		}
		delay = r.b.cfg.RetryBase
		r.b.connected(ctx)
		if !first {
			r.b.metrics.resumed.Inc()
			r.b.fence.announce(ctx, r.log, r.epoch, false)
		}
		r.receive(sub) //nolint:contextcheck // A link of its own ends after the reader.
		r.suspend()
	}
}

// fatal ends the reader where another try does not help.
func (r *reader) fatal(ctx context.Context, err error) bool {
	if r.ended() != nil {
		return true
	}
	if isNotFound(err) {
		r.b.forget(r.queue)
		r.end(fmt.Errorf("%w: %q: %w", broker.ErrNoQueue, r.queue.name, err))
		return true
	}
	r.b.cfg.Logger.Log(ctx, r.b.away.failed(), "reader is not subscribed", "queue", r.queue.name, "partition", r.log.part, "error", err)
	return false
}

// subscribe opens a channel and asks for the messages. Of all channels that asked,
// the server serves one: the first whose predecessors are gone.
func (r *reader) subscribe(ctx context.Context) (*subscription, error) {
	s, err := r.link.session(ctx)
	if err != nil {
		return nil, err
	}
	ch, err := s.conn.Channel()
	if err != nil {
		return nil, r.b.on("open channel", s.endpoint, err)
	}
	deliveries, err := r.consume(ch)
	if err != nil {
		_ = ch.Close()
		return nil, r.b.on("subscribe to "+r.log.name, s.endpoint, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doubt.subscribed(time.Now(), r.b.stamps.Load())
	return &subscription{ch: ch, session: s, deliveries: deliveries}, nil
}

func (r *reader) consume(ch *amqp.Channel) (<-chan amqp.Delivery, error) {
	if err := ch.Qos(r.b.cfg.Prefetch, 0, false); err != nil {
		return nil, err
	}
	return ch.Consume(r.log.name, "", false, false, false, false, nil)
}

// receive takes messages in and acks them until the channel or the reader ends.
func (r *reader) receive(sub *subscription) {
	var later, tired <-chan time.Time
	for {
		select {
		case d, ok := <-sub.deliveries:
			if !ok {
				// The channel may be open still, when the server took the subscription back.
				r.mu.Lock()
				r.readOn() // for the answer
				r.mu.Unlock()
				_ = sub.ch.Close()
				return
			}
			r.take(&d)
			if !r.full() {
				continue
			}
			if r.moves() {
				r.leave(sub)
				return
			}
			if r.stops(sub.session.stream) {
				tired = time.After(r.b.cfg.Patience)
			}
		case <-tired:
			tired = nil
			if r.rest(sub) {
				return
			}
		case <-r.acks:
			if r.ack(sub, false) && later == nil {
				later = time.After(ackDelay)
			}
		case <-later:
			later = nil
			r.ack(sub, true)
		case <-r.over:
			r.leave(sub)
			return
		}
	}
}

// leave tells the server all that was settled and closes the channel: that is when
// the next reader gets what is left, in order, and not when only the subscription
// ends.
func (r *reader) leave(sub *subscription) {
	r.mu.Lock()
	r.readOn() // for the answers
	r.mu.Unlock()
	r.ack(sub, true)
	r.bequeath()
	// Of many acks the server keeps some back while others are on their way to the
	// disk, and drops them with the channel. A subscription, and its end, are answered
	// behind what is on its way: after the first answer the server sends what it kept
	// back, and the second is behind that. Served it is only if this connection breaks
	// right now, and then it must have room for all that comes back, to keep the order.
	const tag = "barrier"
	if err := sub.ch.Qos(maxPrefetch, 0, false); err == nil {
		if _, err := sub.ch.Consume(r.log.name, tag, false, false, false, false, nil); err == nil {
			_ = sub.ch.Cancel(tag, false)
		}
	}
	_ = sub.ch.Close()
}

// take takes a message in.
func (r *reader) take(d *amqp.Delivery) {
	who, s, sizes := unpack(d)
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.comesAgain(who)
	if p == nil {
		p = newParcel(who, r.next, sizes, r.log.leftover.claim(who, len(sizes)))
		r.next += broker.Position(p.tasks)
		if r.doubt.exists && !p.repeated {
			p.repeated, p.since = true, r.doubt.since
		}
		r.known.add(p)
	}
	r.window.push(p)
	if p.settled() {
		signal(r.acks)
		return
	}
	r.open++
	s.parcel = p
	s.skipGiven()
	if s.over() {
		return
	}
	r.ready = append(r.ready, s)
	r.ahead += s.left()
	signal(r.wake)
}

// moves gives the reader a connection of its own, unless it has one. A smaller
// prefetch would not do: see Config.Prefetch.
func (r *reader) moves() bool {
	if r.alone {
		return false
	}
	own := newLink(r.b, "read "+r.log.name)
	// It outlives the reader's end by what is left to be told to the server.
	ctx, unlink := context.WithCancel(context.Background())
	if !r.b.spawn(func() { own.run(ctx) }) {
		unlink()
		return false
	}
	r.link, r.alone, r.unlink = own, true, unlink
	return true
}

// comesAgain returns the parcel of a message that was handed out over an earlier
// channel: it keeps its positions, and is acked when they are settled. Nil: it is
// another one.
func (r *reader) comesAgain(who identity) *parcel {
	waiting := r.again[who]
	switch len(waiting) {
	case 0:
		return nil
	case 1:
		delete(r.again, who)
	default:
		r.again[who] = waiting[1:]
	}
	return waiting[0]
}

// ack tells the server what was settled; those out of turn only when they are
// many, or all is true. It reports whether some are left.
func (r *reader) ack(sub *subscription, all bool) (left bool) {
	r.mu.Lock()
	all = all || r.window.scattered > r.b.cfg.Prefetch/4
	before := len(r.window.parcels)
	multiple, others := r.window.acks(all)
	left = r.window.scattered > 0
	r.forget(before - len(r.window.parcels) + len(others))
	r.mu.Unlock()
	var errs []error
	if multiple > 0 {
		errs = append(errs, sub.ch.Ack(multiple, true))
	}
	for _, tag := range others {
		errs = append(errs, sub.ch.Ack(tag, false))
	}
	if err := errors.Join(errs...); err != nil {
		// The channel is gone, which receive sees: they come again and are known.
		return false
	}
	return left
}

// forget drops parcels that the server was told of, now and then; mu is held.
func (r *reader) forget(told int) {
	const atLeast = 256
	if r.told += told; r.told > max(atLeast, len(r.known.parcels)/2) {
		r.known.keep(func(p *parcel) bool { return !p.acked })
		r.told = 0
	}
}

// suspend waits for what was handed out and not acked to come again, and drops
// what was not handed out.
func (r *reader) suspend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.again = make(map[identity][]*parcel)
	r.known.keep(func(p *parcel) bool {
		switch {
		case p.acked:
			return false
		case p.given > 0:
			p.tag = 0
			r.again[p.identity] = append(r.again[p.identity], p)
			return true
		case p.begun: // known from the reader before
			r.log.leftover.put(p.identity, p.done)
		}
		return false
	})
	r.window, r.told, r.open, r.resting = window{}, 0, 0, false
	r.ready, r.ahead = nil, 0
	r.doubt.lost(time.Now())
	r.readOn()
}

// bequeath leaves what was settled and not acked to the log's next reader, once.
func (r *reader) bequeath() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.willed || r.ended() == nil {
		return
	}
	r.willed = true
	for _, p := range r.known.parcels {
		if p.begun && !p.acked {
			r.log.leftover.put(p.identity, p.done)
		}
	}
}
