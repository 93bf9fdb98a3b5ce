package rabbitmq

import (
	"context"
	"encoding/json"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa/internal/broker"
)

// fence tells other processes of the readers that are opened here, and ends those
// here that another process has opened with a higher epoch. It is what makes a
// change of owners quick; that an old owner changes nothing is the store's doing.
type fence struct {
	b *Broker
}

// announcement says that a process reads a log.
type announcement struct {
	Process uint64 `json:"process"`
	Log     string `json:"log"` // name on the server
	Epoch   uint64 `json:"epoch"`
	Opened  bool   `json:"opened"` // just now; else it goes on
}

func newFence(b *Broker) *fence { return &fence{b: b} }

// run listens until ctx ends.
func (f *fence) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := f.listen(ctx); err != nil && ctx.Err() == nil {
			f.b.cfg.Logger.Log(ctx, f.b.away.failed(), "other nodes' readers are not heard of", "error", err)
			pause(ctx, jitter(f.b.cfg.RetryBase))
		}
	}
}

// listen subscribes to the announcements and follows them until the connection
// ends.
func (f *fence) listen(ctx context.Context) error {
	l := f.b.control.link
	s, err := l.session(ctx)
	if err != nil {
		return err
	}
	ch, err := s.conn.Channel()
	if err != nil {
		return f.b.on("open channel", s.endpoint, err)
	}
	heard, err := f.subscribe(ch)
	if err != nil {
		_ = ch.Close()
		return f.b.on("listen to announcements", s.endpoint, err)
	}
	f.b.connected(ctx)
	f.announceAll(ctx)
	for d := range heard {
		var a announcement
		if err := json.Unmarshal(d.Body, &a); err != nil {
			f.b.cfg.Logger.Warn("announcement cannot be read", "error", err)
			continue
		}
		f.hear(ctx, a)
	}
	return nil
}

func (f *fence) subscribe(ch *amqp.Channel) (<-chan amqp.Delivery, error) {
	if err := f.b.cfg.declareShared(ch); err != nil {
		return nil, err
	}
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		return nil, fmt.Errorf("declare own queue: %w", err)
	}
	if err := ch.QueueBind(q.Name, "", f.b.cfg.Prefix+fenceName, false, nil); err != nil {
		return nil, fmt.Errorf("bind own queue: %w", err)
	}
	return ch.Consume(q.Name, "", true, true, false, false, nil)
}

// hear ends a reader that another process took over from, and answers one that
// comes too late.
func (f *fence) hear(ctx context.Context, a announcement) {
	if a.Process == f.b.process {
		return
	}
	for _, q := range *f.b.queues.Load() {
		for _, l := range q.logs {
			if l.name == a.Log {
				if late := l.overtake(a); late > 0 {
					f.announce(ctx, l, late, false)
				}
				return
			}
		}
	}
}

// overtake takes an announcement in. It returns the epoch of the log's own reader
// when that is higher.
func (l *log) overtake(a announcement) (higher uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch = max(l.epoch, a.Epoch)
	r := l.reader
	switch {
	case r == nil:
	case r.epoch < a.Epoch || r.epoch == a.Epoch && a.Opened:
		r.end(fmt.Errorf("%w: epoch %d, in another process", broker.ErrFenced, a.Epoch))
		l.reader = nil
	case r.epoch > a.Epoch:
		return r.epoch
	}
	return 0
}

// announce tells other processes of a reader. It is not confirmed: where it gets
// lost, the old reader ends when the store refuses it. Without a connection it is
// left to announceAll.
func (f *fence) announce(ctx context.Context, l *log, epoch uint64, opened bool) {
	if s, _, _ := f.b.control.link.state(); s == nil {
		return
	}
	body, err := json.Marshal(announcement{Process: f.b.process, Log: l.name, Epoch: epoch, Opened: opened})
	if err != nil {
		return
	}
	err = f.b.control.do(ctx, "announce reader of "+l.name, func(ch *amqp.Channel) error {
		return ch.Publish(f.b.cfg.Prefix+fenceName, "", false, false, amqp.Publishing{Body: body})
	})
	if err != nil && ctx.Err() == nil && !f.b.isClosed() && f.b.disconnected() == nil {
		f.b.cfg.Logger.Warn("reader was not announced", "log", l.name, "error", err)
	}
}

// announceAll tells of all readers here, after the connection was away.
func (f *fence) announceAll(ctx context.Context) {
	for _, q := range *f.b.queues.Load() {
		for _, l := range q.logs {
			l.mu.Lock()
			r := l.reader
			l.mu.Unlock()
			if r != nil {
				f.announce(ctx, l, r.epoch, false)
			}
		}
	}
}
