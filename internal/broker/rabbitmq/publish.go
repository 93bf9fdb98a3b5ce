package rabbitmq

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// publication is one call of Publish.
type publication struct {
	b      *Broker
	batch  []broker.Message
	queues []*queue // of each message; nil: refused
	failed map[int]error
	jobs   map[*lane]*job
	lost   error // why the fate of some messages is unknown
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
	p := &publication{b: b, batch: batch, queues: make([]*queue, len(batch))}
	for begin := 0; begin < len(batch) && p.lost == nil; begin += b.cfg.InFlight {
		if err := p.round(ctx, begin, min(begin+b.cfg.InFlight, len(batch))); err != nil {
			return err
		}
	}
	return p.answer()
}

// round publishes a part of the batch, as much as a lane takes at a time.
func (p *publication) round(ctx context.Context, begin, end int) error {
	p.jobs = make(map[*lane]*job, 1)
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

const (
	idSize    = 36
	stampSize = 16
)

// prepare finds the logs of the messages, refuses what cannot be taken, and makes
// the jobs of the lanes.
func (p *publication) prepare(ctx context.Context, begin, end int) error {
	n := end - begin
	stamp := p.b.stamps.Add(uint64(n)) - uint64(n)
	names := make([]byte, 0, n*(idSize+stampSize))
	var raw [8]byte
	for i := range n {
		names = append(names, p.batch[begin+i].ID.String()...)
		putUint64(&raw, stamp+uint64(i))
		names = hex.AppendEncode(names, raw[:])
	}
	text := string(names)
	var last *queue
	for i := begin; i < end; i++ {
		m := &p.batch[i]
		if last == nil || last.name != m.Queue {
			q, err := p.b.find(ctx, m.Queue)
			if errors.Is(err, broker.ErrNoQueue) {
				p.fail(i, err)
				continue
			}
			if err != nil {
				p.unadmit()
				return fmt.Errorf("publish: %w", err)
			}
			last = q
		}
		if err := p.admit(i, last); err != nil {
			p.fail(i, err)
			continue
		}
		at := (i - begin) * (idSize + stampSize)
		p.assign(i, last.logs[m.Partition], text[at:at+idSize], text[at+idSize:at+idSize+stampSize])
	}
	return nil
}

func putUint64(raw *[8]byte, v uint64) {
	for i := range raw {
		raw[i] = byte(v >> (56 - 8*i))
	}
}

// admit checks the partition and the limits of the backlog.
func (p *publication) admit(i int, q *queue) error {
	m := &p.batch[i]
	if m.Partition < 0 || m.Partition >= len(q.logs) {
		return task.Errorf(task.CodeInvalidArgument, "queue %q has %d partitions: there is no partition %d", m.Queue, len(q.logs), m.Partition)
	}
	limits := q.limits.Load()
	if !q.gauge.admit(int64(len(m.Body)), limits.MaxTasks, limits.MaxBytes, m.Owed) {
		return fmt.Errorf("%w: the backlog of queue %q is at its limit", broker.ErrFull, m.Queue)
	}
	q.gauge.busy.Store(true)
	p.queues[i] = q
	return nil
}

func (p *publication) assign(i int, l *log, id, stamp string) {
	j := p.jobs[l.lane]
	if j == nil {
		j = newJob()
		p.jobs[l.lane] = j
	}
	j.messages = append(j.messages, posted{index: i, log: l, id: id, stamp: stamp, body: p.batch[i].Body})
}

// fail says why a message was not taken.
func (p *publication) fail(i int, err error) {
	if p.failed == nil {
		p.failed = make(map[int]error)
	}
	p.failed[i] = err
	if q := p.queues[i]; q != nil {
		q.gauge.leave(1, int64(len(p.batch[i].Body)))
		p.queues[i] = nil
	}
}

// unadmit takes back what was admitted in this round.
func (p *publication) unadmit() {
	for _, j := range p.jobs {
		p.refuse(j, nil)
	}
}

// refuse fails all messages of a job that was not sent.
func (p *publication) refuse(j *job, err error) {
	for i := range j.messages {
		p.fail(j.messages[i].index, err)
	}
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
			p.fail(m.index, p.b.on("publish to "+m.log.name, j.out.session.endpoint, errNacked))
		case returns && j.out.cameBack(m.log.name, j.since):
			q := p.queues[m.index]
			p.fail(m.index, p.b.on("publish to "+m.log.name, j.out.session.endpoint, broker.ErrNoQueue))
			if q != nil {
				p.b.forget(q)
			}
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
	if blocked := s.blocked.Load(); blocked != nil {
		return p.b.on("publish", s.endpoint, blockedError(blocked))
	}
	return p.b.on("publish", s.endpoint, fmt.Errorf("nothing was sent, the server is too slow: %w: %w", broker.ErrFull, context.Cause(ctx)))
}

// noConfirm says why a message that was sent has no answer.
func (p *publication) noConfirm(ctx context.Context, j *job) error {
	if blocked := j.out.session.blocked.Load(); blocked != nil {
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
	if p.lost != nil {
		m.unknown.Add(float64(len(p.batch)))
		return fmt.Errorf("whether the messages were stored is unknown: %w", p.lost)
	}
	m.published.Add(float64(len(p.batch) - len(p.failed)))
	if len(p.failed) == 0 {
		return nil
	}
	m.notTaken.Add(float64(len(p.failed)))
	return &broker.PublishError{Failed: p.failed}
}
