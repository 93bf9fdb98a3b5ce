package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa"
)

const (
	submitMost  = 512     // tasks of one submit
	submitBytes = 1 << 20 // about so many bytes of bodies
	submitsMost = 2       // under way at the same time
	// scatteredPart of the prefetch may be settled and not acked, because a message
	// before it is open.
	scatteredPart = 4
	idleCheck     = 100 * time.Millisecond
)

// errLost says that the connection broke, or the server ended the consumer.
var errLost = errors.New("the connection to RabbitMQ was lost")

// errMore says that messages were on their way when the queue looked empty.
var errMore = errors.New("more messages have come")

// channel is what a pump needs of an amqp.Channel.
type channel interface {
	Ack(tag uint64, multiple bool) error
	Reject(tag uint64, requeue bool) error
	Cancel(consumer string, noWait bool) error
	QueueDeclarePassive(name string, durable, autoDelete, exclusive, noWait bool, args amqp.Table) (amqp.Queue, error)
}

// pump moves the messages of one channel.
type pump struct {
	in         *In
	ch         channel
	deliveries <-chan amqp.Delivery

	lanes   *lanes
	window  *window
	submits sync.WaitGroup
	answers chan answer
	flying  int // submits under way

	stopping bool
	err      error // why it stops
	lost     bool
	delay    backoff
	again    *time.Timer // set while fenfa is given time
	empty    int         // how often the queue was seen empty in a row
}

// answer is what became of a submit.
type answer struct {
	batch   []*message
	results []fenfa.SubmitResult
}

func newPump(in *In, ch channel, deliveries <-chan amqp.Delivery) *pump {
	return &pump{
		in: in, ch: ch, deliveries: deliveries,
		lanes: newLanes(), window: newWindow(), answers: make(chan answer, submitsMost),
		delay: backoff{base: in.cfg.RetryBase, most: in.cfg.RetryMax},
	}
}

// run moves messages until there is a reason to stop, and returns it. Submits have
// ended then, and what they settled is acked.
func (p *pump) run(ctx context.Context) error {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer p.submits.Wait()
	defer cancel()
	idle := time.NewTicker(idleCheck)
	defer idle.Stop()
	stop := ctx.Done()
	var late <-chan time.Time
	for {
		if p.stopping && late == nil {
			late = time.After(p.in.cfg.DrainTimeout)
		}
		p.launch(hard)
		if p.stopping && p.flying == 0 || p.lost {
			return p.end()
		}
		select {
		case d, ok := <-p.wanted():
			p.arrive(d, ok)
		case a := <-p.answers:
			p.settle(a)
		case <-p.pause():
			p.again = nil
		case <-idle.C:
			p.lookForEnd()
		case <-stop:
			stop = nil
			p.stop(nil)
		case <-late:
			cancel() // What fenfa did not answer is delivered again.
		}
	}
}

// wanted is where messages come from, while they are wanted.
func (p *pump) wanted() <-chan amqp.Delivery {
	if p.stopping || p.full() {
		return nil
	}
	return p.deliveries
}

// full reports whether what is held reaches the limit.
func (p *pump) full() bool {
	limit := p.in.cfg.Limit
	return limit > 0 && p.in.settled+int64(p.lanes.count) >= limit
}

func (p *pump) pause() <-chan time.Time {
	if p.again == nil {
		return nil
	}
	return p.again.C
}

// launch submits what may be submitted.
func (p *pump) launch(ctx context.Context) {
	for !p.stopping && p.again == nil && p.flying < submitsMost {
		batch := p.lanes.take(submitMost, submitBytes)
		if len(batch) == 0 {
			return
		}
		p.flying++
		p.submits.Go(func() {
			tasks := make([]*fenfa.Task, len(batch))
			for i, m := range batch {
				tasks[i] = m.task
			}
			// The error is one of the results'.
			results, _ := p.in.cfg.Client.SubmitBatch(ctx, tasks)
			p.answers <- answer{batch: batch, results: results}
		})
	}
}

// arrive takes a message, and some that have come with it.
func (p *pump) arrive(d amqp.Delivery, ok bool) {
	for n := 1; ok; n++ {
		p.take(d)
		if n == submitMost {
			return
		}
		select {
		case d, ok = <-p.wanted():
		default:
			return
		}
	}
	p.lost = true // The connection is gone, or the server has ended the consumer.
}

func (p *pump) take(d amqp.Delivery) {
	in := p.in
	p.empty = 0
	p.window.received()
	in.counts.taken.Add(1)
	if _, stream := d.Headers[headerStreamOffset]; stream {
		p.stop(fmt.Errorf("consume queue %q: %w", in.cfg.Queue, ErrStream))
		return
	}
	m, err := in.mapping.message(d)
	if err != nil {
		p.refuse(m, err)
		p.afterSettling()
		return
	}
	if m.key == "" && in.cfg.Key != (KeyRule{}) {
		in.counts.withoutKey.Add(1)
	}
	p.lanes.add(m)
}

// settle deals with what became of a submit.
func (p *pump) settle(a answer) {
	p.flying--
	var again []*message
	var cause error
	for i, m := range a.batch {
		switch err := a.results[i].Err; {
		case err == nil:
			p.confirmed(m, a.results[i].Duplicate)
			p.lanes.done(m)
		case isNoTarget(err):
			p.stop(fmt.Errorf("submit to queue %q: %w: %w", p.in.cfg.To, ErrNoTarget, err))
			again = append(again, m)
		case !isRefusal(err):
			again = append(again, m)
			if cause == nil {
				cause = err
			}
		case p.refuse(m, err):
			p.lanes.done(m)
		}
	}
	p.lanes.again(again)
	if cause != nil {
		p.giveTime(cause)
	} else {
		p.delay.reset()
	}
	p.afterSettling()
}

func (p *pump) confirmed(m *message, duplicate bool) {
	counts := &p.in.counts
	p.window.settle(m.tag)
	p.in.settled++
	if !duplicate {
		counts.confirmed.Add(1)
		return
	}
	counts.duplicate.Add(1)
	if m.byContent && !m.delivery.Redelivered {
		counts.equal.Add(1)
	}
}

// refuse deals with a message that is refused for good. It reports whether the
// message is settled; else the pump stops.
func (p *pump) refuse(m *message, reason error) bool {
	in := p.in
	in.counts.refused.Add(1)
	reason = explain(reason)
	switch in.cfg.Refused {
	case RefusedReject:
		if err := p.ch.Reject(m.tag, false); err != nil {
			p.lost = true
			return false
		}
		p.window.told(m.tag)
	case RefusedFile:
		if err := in.refused.keep(in.cfg.Queue, m, reason); err != nil {
			p.stop(err)
			return false
		}
		p.window.settle(m.tag)
	default:
		p.stop(fmt.Errorf("%w (message-id %q, routing key %q), it stays in queue %q: %w", ErrRefused, m.delivery.MessageId, m.delivery.RoutingKey, in.cfg.Queue, reason))
		return false
	}
	in.cfg.Logger.Warn("message refused", "message_id", m.delivery.MessageId, "policy", string(in.cfg.Refused), "error", reason)
	in.settled++
	return true
}

// giveTime lets fenfa be for a while.
func (p *pump) giveTime(cause error) {
	if p.again != nil {
		return
	}
	d := p.delay.draw()
	if e, ok := errors.AsType[*fenfa.Error](cause); ok {
		d = max(d, e.RetryAfter)
	}
	p.in.cfg.Logger.Warn("fenfa does not take tasks now, trying again", "delay", d.String(), "error", cause)
	p.again = time.NewTimer(d)
}

// afterSettling acks, and ends the run with the last message of the limit.
func (p *pump) afterSettling() {
	p.ack(max(1, p.in.cfg.Prefetch/scatteredPart))
	if limit := p.in.cfg.Limit; limit > 0 && p.in.settled >= limit {
		p.stop(nil)
	}
}

func (p *pump) ack(scattered int) {
	multiple, others := p.window.acks(scattered)
	var err error
	if multiple > 0 {
		err = p.ch.Ack(multiple, true)
	}
	for _, tag := range others {
		if err == nil {
			err = p.ch.Ack(tag, false)
		}
	}
	p.lost = p.lost || err != nil
}

// lookForEnd ends the run when the queue is empty, where that is asked for: when two
// looks found nothing and nothing is on its way. What the server had sent before the
// first look has arrived with the answer to the second, but the client may not have
// handed it over.
func (p *pump) lookForEnd() {
	if !p.in.cfg.UntilEmpty || p.stopping || p.lanes.count > 0 {
		return
	}
	q, err := p.ch.QueueDeclarePassive(p.in.cfg.Queue, true, false, false, false, nil)
	switch {
	case err != nil:
		p.lost = true
	case q.Messages > 0:
		p.empty = 0
	case p.empty == 0:
		p.empty++
	case p.drained():
		p.stop(nil)
	default:
		p.stop(errMore)
	}
}

// drained ends the consumer and reports whether nothing is left of what it was sent.
// Where something is, it goes back to the queue with the end of the channel.
func (p *pump) drained() bool {
	if err := p.ch.Cancel(consumer, false); err != nil {
		p.lost = true
		return false
	}
	left := 0
	for range p.deliveries { // The client closes it behind the last one.
		left++
	}
	return left == 0
}

// stop takes no more messages, and lets the submits under way end. A consumer that
// still gets messages is not cancelled: the end of its channel is what gives back all that it holds and
// lets another consumer begin in the same moment, which keeps the order.
func (p *pump) stop(cause error) {
	if p.err == nil {
		p.err = cause
	}
	p.stopping = true
}

// end acks what is left and returns why the pump has ended.
func (p *pump) end() error {
	if p.again != nil {
		p.again.Stop()
	}
	if !p.lost {
		p.ack(1)
	}
	if p.lost && p.err == nil {
		return errLost
	}
	return p.err
}
