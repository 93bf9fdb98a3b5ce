package rabbitmq

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa/internal/broker"
)

// lane is a channel to the server on which the messages of some logs are
// published, by one goroutine and thus in order.
type lane struct {
	b    *Broker
	link *link

	mu       sync.Mutex
	jobs     []*job
	closed   bool
	inFlight int // messages that were begun and have no answer

	wake chan struct{} // jobs or inFlight changed
	out  *outlet       // of the goroutine
}

// outlet is one channel of a lane, from its opening to its end.
type outlet struct {
	ch      *amqp.Channel
	session *session
	returns chan amqp.Return

	mu       sync.Mutex
	returned []string // names of the queues that messages came back for, in order
	jobs     int      // that wait for confirms
	stale    bool     // takes no further jobs
	opened   time.Time
}

// States of a job.
const (
	jobWaits     = iota
	jobBegun     // some of it may be on its way
	jobWithdrawn // nothing of it will be sent
)

// job is what one publish has for one lane. It is sent over one outlet or not at
// all: what is left of it after a failure must not come before a repeat.
type job struct {
	messages []posted
	state    atomic.Int32
	gone     chan struct{} // closed when it is withdrawn
	sent     chan struct{} // closed when the lane is done with it

	// Set before sent is closed.
	out      *outlet
	since    int // length of out.returned when it was begun
	confirms []*amqp.DeferredConfirmation
	err      error // why the rest was not sent
}

func newLane(b *Broker, l *link) *lane {
	return &lane{b: b, link: l, wake: make(chan struct{}, 1)}
}

// laneOf spreads the logs over the lanes.
func (b *Broker) laneOf(server string) *lane {
	h := fnv.New32a()
	_, _ = h.Write([]byte(server))
	return b.lanes[h.Sum32()%uint32(len(b.lanes))]
}

func newJob() *job {
	return &job{gone: make(chan struct{}), sent: make(chan struct{})}
}

// add queues a job; false says that the broker was closed.
func (ln *lane) add(j *job) bool {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.closed {
		return false
	}
	ln.jobs = append(ln.jobs, j)
	ln.signal()
	return true
}

// close refuses new jobs.
func (ln *lane) close() {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	ln.closed = true
	ln.signal()
}

func (ln *lane) signal() {
	select {
	case ln.wake <- struct{}{}:
	default:
	}
}

// release says that messages of a job have their answers, or never will.
func (ln *lane) release(n int) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	ln.inFlight -= n
	ln.signal()
}

// take returns the next job that there is room for, or nil.
func (ln *lane) take() *job {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if len(ln.jobs) == 0 || ln.inFlight > 0 && ln.inFlight+len(ln.jobs[0].messages) > ln.b.cfg.InFlight {
		return nil
	}
	j := ln.jobs[0]
	ln.jobs[0] = nil
	ln.jobs = ln.jobs[1:]
	ln.inFlight += len(j.messages)
	return j
}

// run sends jobs until ctx ends.
func (ln *lane) run(ctx context.Context) {
	for {
		j := ln.take()
		if j == nil {
			select {
			case <-ln.wake:
				continue
			case <-ctx.Done():
				ln.refuseAll()
				return
			}
		}
		if err := ln.ready(ctx, j); err != nil || !j.state.CompareAndSwap(jobWaits, jobBegun) {
			ln.refuse(j, err)
			continue
		}
		ln.send(j)
	}
}

func (ln *lane) refuseAll() {
	ln.mu.Lock()
	jobs := ln.jobs
	ln.jobs, ln.closed = nil, true
	for _, j := range jobs {
		ln.inFlight += len(j.messages)
	}
	ln.mu.Unlock()
	for _, j := range jobs {
		ln.refuse(j, broker.ErrClosed)
	}
}

// refuse ends a job of which nothing was sent.
func (ln *lane) refuse(j *job, err error) {
	j.state.CompareAndSwap(jobWaits, jobWithdrawn)
	j.err = err
	ln.release(len(j.messages))
	close(j.sent)
}

// ready waits until the server takes messages, or the job is withdrawn.
func (ln *lane) ready(ctx context.Context, j *job) error {
	for {
		s, changed, _ := ln.link.state()
		var over <-chan struct{}
		if s != nil {
			if blocked := ln.b.blockOf(s); blocked != nil {
				over = blocked.over
			} else if err := ln.open(s); err == nil {
				return nil
			}
			// Else the session is about to end: it will be seen to change.
		}
		select {
		case <-changed:
		case <-over:
		case <-j.gone:
			return context.Canceled
		case <-ctx.Done():
			return broker.ErrClosed
		}
	}
}

// open makes sure that the outlet is one of the session.
func (ln *lane) open(s *session) error {
	if ln.out != nil && ln.out.session == s && ln.out.usable() {
		return nil
	}
	ch, err := s.conn.Channel()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	if err := ch.Confirm(false); err != nil {
		return fmt.Errorf("ask for confirms: %w", err)
	}
	// A return must find room before the confirm that follows it is read, so there is
	// room for one of each message in flight.
	ln.out = &outlet{ch: ch, session: s, opened: time.Now(), returns: ch.NotifyReturn(make(chan amqp.Return, ln.b.cfg.InFlight))}
	return nil
}

// send writes the messages of a job.
func (ln *lane) send(j *job) {
	out := ln.out
	j.out = out
	j.since = out.collect()
	out.begin()
	j.confirms = make([]*amqp.DeferredConfirmation, 0, len(j.messages))
	for i := range j.messages {
		m := &j.messages[i]
		confirm, err := out.ch.PublishWithDeferredConfirm("", m.log.name, true, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, MessageId: m.id, CorrelationId: m.stamp, Type: m.kind, Body: m.body,
		})
		if err != nil {
			j.err = fmt.Errorf("send message: %w", err)
			// Whatever state the channel is in, nothing may follow on it.
			_ = out.ch.Close()
			break
		}
		j.confirms = append(j.confirms, confirm)
	}
	ln.release(len(j.messages) - len(j.confirms))
	close(j.sent)
}

// giveUp ends a channel that does not answer, unless the server said that it
// takes nothing now.
func (o *outlet) giveUp(b *Broker) {
	if b.blockOf(o.session) != nil {
		return
	}
	b.cfg.Logger.Warn("channel is given up, it does not confirm", "endpoint", o.session.endpoint, "timeout", b.cfg.Timeout)
	_ = o.ch.Close()
}

func (o *outlet) usable() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.stale && !o.ch.IsClosed()
}

// begin counts a job that waits for confirms on the channel.
func (o *outlet) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.jobs++
}

// end says that a job has its answers. It reports whether the channel is to be
// closed: it is stale, and nobody waits on it.
func (o *outlet) end() (leave bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.jobs--
	return o.stale && o.jobs == 0
}

// doubt makes later jobs go over another channel, because this one was refused a
// message: a channel that spoke to a queue for the first time while it had no
// leader is refused by it for good. Where another one would be refused as well, no
// more than a few are tried in a second.
func (o *outlet) doubt(b *Broker) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stale = o.stale || time.Since(o.opened) > b.cfg.RetryBase
}

// collect takes in what came back and returns how many there were ever.
func (o *outlet) collect() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		select {
		case r, ok := <-o.returns:
			if !ok {
				return len(o.returned)
			}
			o.returned = append(o.returned, r.RoutingKey)
		default:
			return len(o.returned)
		}
	}
}

// cameBack reports whether messages for the queue came back since.
func (o *outlet) cameBack(server string, since int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Contains(o.returned[since:], server)
}
