package rabbitmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa/internal/broker"
)

// fence tells other processes of the readers that are opened here, and ends those
// here that another process has opened with a higher epoch. It is what makes a
// change of owners quick; that an old owner changes nothing is the store's doing.
//
// It listens over the control connection and tells over one that publishes: the
// server stops reading from a connection that ever published while it is short of
// memory or disk.
type fence struct {
	b   *Broker
	due chan struct{} // all readers here are to be told of again
}

// errSpeechless says that nothing can be told now.
var errSpeechless = errors.New("there is no connection that takes messages")

// announcement says that a process reads a log.
type announcement struct {
	Process uint64 `json:"process"`
	Log     string `json:"log"` // name on the server
	Epoch   uint64 `json:"epoch"`
	Opened  bool   `json:"opened"` // just now; else it goes on
}

func newFence(b *Broker) *fence { return &fence{b: b, due: make(chan struct{}, 1)} }

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
	signal(f.due) // Answers to what was told before were not heard.
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

// announce tells other processes of a reader, and does not wait for it: whoever calls
// it has work that goes on without. It gives up when ctx ends. What cannot be told
// now is left to repeat.
func (f *fence) announce(ctx context.Context, l *log, epoch uint64, opened bool) {
	f.b.spawn(func() {
		ctx, cancel := f.b.bounded(ctx)
		defer cancel()
		if err := f.tell(ctx, l, epoch, opened); err != nil {
			signal(f.due)
		}
	})
}

// tell publishes an announcement. It is not confirmed: where it gets lost, the old
// reader ends when the store refuses it. It fails at once where there is no
// connection that takes it.
func (f *fence) tell(ctx context.Context, l *log, epoch uint64, opened bool) error {
	s, _, _ := f.b.notes.link.state()
	if s == nil || f.b.blockOf(s) != nil {
		return errSpeechless
	}
	body, err := json.Marshal(announcement{Process: f.b.process, Log: l.name, Epoch: epoch, Opened: opened})
	if err != nil {
		return fmt.Errorf("encode announcement: %w", err)
	}
	return f.b.notes.do(ctx, "announce reader of "+l.name, func(ch *amqp.Channel) error {
		return ch.Publish(f.b.cfg.Prefix+fenceName, "", false, false, amqp.Publishing{Body: body})
	})
}

// repeat tells of all readers here when something may not have been heard: after a
// connection or an alarm was over, or when an announcement failed. It ends with ctx.
func (f *fence) repeat(ctx context.Context) {
	for ctx.Err() == nil {
		s, err := f.b.notes.link.session(ctx)
		if err != nil {
			return
		}
		if now := f.b.blockOf(s); now != nil {
			select {
			case <-now.over:
			case <-ctx.Done():
			}
			continue
		}
		if err := f.tellAll(ctx); err != nil {
			if ctx.Err() == nil && !f.b.isClosed() && f.b.Problem() == nil {
				f.b.cfg.Logger.Warn("readers were not announced", "error", err)
			}
			pause(ctx, jitter(f.b.cfg.RetryBase))
			continue
		}
		select {
		case <-s.down:
		case <-f.due:
		case <-ctx.Done():
		}
	}
}

// tellAll tells of all readers here, until one cannot be told of.
func (f *fence) tellAll(ctx context.Context) error {
	ctx, cancel := f.b.bounded(ctx)
	defer cancel()
	for _, q := range *f.b.queues.Load() {
		for _, l := range q.logs {
			l.mu.Lock()
			r := l.reader
			l.mu.Unlock()
			if r == nil {
				continue
			}
			if err := f.tell(ctx, l, r.epoch, false); err != nil {
				return err
			}
		}
	}
	return nil
}
