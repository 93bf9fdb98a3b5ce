package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
)

// publication is one call of Publish.
type publication struct {
	b      *Broker
	batch  []broker.Message
	failed map[int]error // by the index in the batch
	lost   error         // why the fate of some messages is unknown

	// Of the round.
	jobs    map[*lane]*job
	filling map[*log]int // index in its job of the last message for a log
	next    []int        // behind a task of the batch, the next one in its message
}

// Publish implements broker.Broker. A message that the server did not answer for is
// unknown; one that was not sent, because there is no connection or the server
// takes no messages, is refused.
func (b *Broker) Publish(ctx context.Context, batch []broker.Message) error {
	if len(batch) == 0 {
		return nil
	}
	if b.isClosed() {
		return closedError("publish")
	}
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	p := &publication{b: b, batch: batch, next: make([]int, len(batch))}
	for begin := 0; begin < len(batch) && p.lost == nil; begin += b.cfg.InFlight {
		if err := p.round(ctx, begin, min(begin+b.cfg.InFlight, len(batch))); err != nil {
			return err
		}
	}
	return p.answer()
}

// round publishes a part of the batch, as much as a lane takes at a time.
func (p *publication) round(ctx context.Context, begin, end int) error {
	p.jobs, p.filling = make(map[*lane]*job, 1), make(map[*log]int, 1)
	if err := p.prepare(ctx, begin, end); err != nil {
		return err
	}
	if !p.b.enter() {
		return closedError("publish")
	}
	defer p.b.tasks.Done()
	for ln, j := range p.jobs {
		if !ln.add(j) {
			p.refuse(j, closedError("publish"))
			delete(p.jobs, ln)
		}
	}
	for ln, j := range p.jobs {
		p.await(ctx, ln, j)
	}
	return nil
}

// enter makes Close wait for tasks.Done.
func (b *Broker) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.tasks.Add(1)
	}
	return !b.closed
}

// await waits for the confirms of a job, as long as ctx allows.
func (p *publication) await(ctx context.Context, ln *lane, j *job) {
	select {
	case <-j.sent:
	case <-ctx.Done():
		if j.state.CompareAndSwap(jobWaits, jobWithdrawn) {
			close(j.gone)
			p.refuse(j, p.notSent(ctx, ln))
			return
		}
		p.abandon(ln, j)
		p.unknown(p.b.on("publish", "", fmt.Errorf("the server is too slow: %w", context.Cause(ctx))))
		return
	}
	if j.out == nil {
		p.refuse(j, p.b.on("publish", "", j.err))
		return
	}
	for _, confirm := range j.confirms {
		select {
		case <-confirm.Done():
		case <-ctx.Done():
			p.abandon(ln, j)
			p.unknown(p.noConfirm(ctx, j))
			return
		}
	}
	p.judge(j)
	p.b.finish(ln, j)
}

// finish says that a job has its answers; tasks is held.
func (b *Broker) finish(ln *lane, j *job) {
	ln.release(len(j.confirms))
	if j.out.end() {
		b.tasks.Go(func() { _ = j.out.ch.Close() })
	}
}

// judge says what the server's answers mean.
func (p *publication) judge(j *job) {
	returns := j.out.collect() > j.since
	for i, confirm := range j.confirms {
		m := &j.messages[i]
		switch {
		case !confirm.Acked() && j.out.ch.IsClosed():
			p.unknown(p.brokenOff(j))
			return
		case !confirm.Acked():
			j.out.doubt(p.b)
			p.failMessage(m, p.b.on("publish to "+m.log.name, j.out.session.endpoint, errNacked))
		case returns && j.out.cameBack(m.log.name, j.since):
			p.failMessage(m, p.b.on("publish to "+m.log.name, j.out.session.endpoint, broker.ErrNoQueue))
			p.b.forget(m.queue)
		}
	}
	if j.err != nil {
		p.unknown(j.err)
	}
}

// notSent says why a message was not even sent.
func (p *publication) notSent(ctx context.Context, ln *lane) error {
	s, _, failure := ln.link.state()
	if s == nil {
		if failure == nil {
			failure = errors.New("not connected yet")
		}
		return p.b.on("publish", "", fmt.Errorf("nothing was sent, there is no connection: %w: %w", failure, context.Cause(ctx)))
	}
	if blocked := p.b.blockOf(s); blocked != nil {
		return p.b.on("publish", s.endpoint, blockedError(blocked))
	}
	return p.b.on("publish", s.endpoint, fmt.Errorf("nothing was sent, the server is too slow: %w: %w", broker.ErrFull, context.Cause(ctx)))
}

// noConfirm says why a message that was sent has no answer.
func (p *publication) noConfirm(ctx context.Context, j *job) error {
	if blocked := p.b.blockOf(j.out.session); blocked != nil {
		return p.b.on("publish", j.out.session.endpoint, blockedError(blocked))
	}
	return p.b.on("publish", j.out.session.endpoint, fmt.Errorf("no confirm came: %w", context.Cause(ctx)))
}

func blockedError(blocked *block) error {
	return fmt.Errorf("%w: the server takes no messages until its alarm is over: %s", broker.ErrFull, blocked.reason)
}

func (p *publication) brokenOff(j *job) error {
	err := j.err
	select {
	case <-j.out.session.down:
		err = j.out.session.cause
	default:
	}
	if err == nil {
		err = errors.New("the channel was closed")
	}
	return p.b.on("publish", j.out.session.endpoint, fmt.Errorf("the connection broke before the confirm came: %w", err))
}

func (p *publication) unknown(err error) {
	if p.lost == nil {
		p.lost = err
	}
}

// abandon leaves a job to itself: its messages count as in flight until the
// server answers or the channel ends. A channel that has no answer for the whole
// timeout is given up: after a change of leaders the server may have forgotten to
// tell it, and another channel asks anew.
func (p *publication) abandon(ln *lane, j *job) {
	p.b.tasks.Go(func() {
		<-j.sent
		timer := time.NewTimer(p.b.cfg.Timeout)
		defer timer.Stop()
		for _, confirm := range j.confirms {
			for waits := true; waits; {
				select {
				case <-confirm.Done():
					waits = false
				case <-timer.C:
					timer.Reset(p.b.cfg.Timeout)
					j.out.giveUp(p.b)
				}
			}
		}
		p.b.finish(ln, j)
	})
}

// answer is what Publish returns.
func (p *publication) answer() error {
	m := p.b.metrics
	m.notTaken.Add(float64(len(p.failed)))
	if p.lost != nil {
		m.unknown.Add(float64(len(p.batch) - len(p.failed)))
		return fmt.Errorf("whether the messages were stored is unknown: %w", p.lost)
	}
	m.published.Add(float64(len(p.batch) - len(p.failed)))
	if len(p.failed) == 0 {
		return nil
	}
	return &broker.PublishError{Failed: p.failed}
}
