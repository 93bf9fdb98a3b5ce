package rabbitmq

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa/internal/task"
)

// state is what a process leaves on the server for the next one: what the server
// cannot tell of its messages, because it does not look into them. It is a memory:
// without it the backlog is estimated and settled tasks come again, which their
// marks absorb. docs/formats/rabbitmq.md describes it.
type state struct {
	Version int                    `json:"version"`
	Queues  map[string]*queueState `json:"queues"`
}

type queueState struct {
	volume

	Logs map[int][]messageState `json:"logs,omitempty"` // by partition
}

// messageState says which tasks of a message were settled.
type messageState struct {
	ID      string   `json:"id"`
	Stamp   string   `json:"stamp"`
	Settled []uint64 `json:"settled"` // one bit a task, the lowest first
}

const stateVersion = 1

// stateInterval is how often the state is written while it changes.
const stateInterval = 5 * time.Second

// inherited is what an earlier process left, as far as no queue has it yet.
type inherited struct {
	mu     sync.Mutex
	loaded bool // what there was is known
	queues map[string]*queueState
}

func (in *inherited) load(s *state) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.loaded, in.queues = true, s.Queues
}

// forget drops what was left of a queue: it is in use now.
func (in *inherited) forget(name string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.queues, name)
}

// begin returns the state of what is not in use; nil: it is not known.
func (in *inherited) begin() *state {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.loaded {
		return nil
	}
	s := &state{Version: stateVersion, Queues: make(map[string]*queueState)}
	maps.Copy(s.Queues, in.queues)
	return s
}

// capture encodes the state of now. It returns nil while it is not known what an
// earlier process left.
func (b *Broker) capture() ([]byte, error) {
	s := b.inherited.begin()
	if s == nil {
		return nil, nil
	}
	for name, q := range *b.queues.Load() {
		s.Queues[name] = q.state()
	}
	return json.Marshal(s)
}

func (q *queue) state() *queueState {
	s := &queueState{volume: q.gauge.known()}
	for _, l := range q.logs {
		l.leftover.each(func(who identity, settled done) {
			if s.Logs == nil {
				s.Logs = make(map[int][]messageState)
			}
			s.Logs[l.part] = append(s.Logs[l.part], messageState{
				ID: task.ID(who.id).String(), Stamp: strconv.FormatUint(who.stamp, 16), Settled: settled,
			})
		})
	}
	return s
}

// adopt gives a queue what an earlier process left of it.
func (in *inherited) adopt(q *queue) {
	in.mu.Lock()
	defer in.mu.Unlock()
	one := in.queues[q.name]
	if one == nil {
		q.gauge.start(volume{})
		return
	}
	q.gauge.start(one.volume)
	for part, messages := range one.Logs {
		if part < 0 || part >= len(q.logs) {
			continue
		}
		for _, m := range messages {
			id, idErr := task.ParseID(m.ID)
			stamp, stampErr := strconv.ParseUint(m.Stamp, 16, 64)
			if idErr == nil && stampErr == nil {
				q.logs[part].leftover.put(identity{id: id, stamp: stamp}, m.Settled)
			}
		}
	}
}

// stateTries is how often a queue is asked for the state: one that has no leader yet
// ends the connection instead of an answer.
const stateTries = 5

// hasState reports whether there may be a state; a queue that is made only now has
// none, and does not answer when it is asked too early.
func (b *Broker) hasState(ctx context.Context) (bool, error) {
	err := b.control.do(ctx, "look for what an earlier node left", func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclarePassive(b.cfg.Prefix+stateName, true, false, false, false, nil)
		return err
	})
	if isNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// loadState reads the state, and leaves it where it is. Without an answer it is that
// of a node which left nothing.
func (b *Broker) loadState(ctx context.Context) *state {
	var last error
	for range stateTries {
		read := new(atomic.Pointer[state]) // a call that nobody waits for any more has its own
		last = b.control.do(ctx, "read what an earlier node left", func(ch *amqp.Channel) error {
			s, err := b.cfg.readState(ch)
			read.Store(s)
			return err
		})
		if last == nil {
			return read.Load()
		}
		if !pause(ctx, jitter(b.cfg.RetryBase)) {
			break
		}
	}
	b.cfg.Logger.WarnContext(ctx, "what an earlier node left cannot be read, the backlog is estimated", "error", last)
	return &state{}
}

func (c *Config) readState(ch *amqp.Channel) (*state, error) {
	s := &state{}
	d, ok, err := ch.Get(c.Prefix+stateName, false)
	if err != nil || !ok {
		return s, err
	}
	if err := d.Nack(false, true); err != nil {
		return s, fmt.Errorf("leave state where it is: %w", err)
	}
	if err := json.Unmarshal(d.Body, s); err != nil {
		return s, fmt.Errorf("decode state: %w", err)
	}
	if s.Version != stateVersion {
		return s, fmt.Errorf("decode state: format version %d is not known (this fenfa reads %d)", s.Version, stateVersion)
	}
	return s, nil
}

// keepState writes the state now and then, until ctx ends.
func (b *Broker) keepState(ctx context.Context) {
	var last []byte
	for pause(ctx, stateInterval) {
		body, err := b.capture()
		if err != nil || bytes.Equal(body, last) {
			continue
		}
		if err := b.saveState(ctx, body); err == nil {
			last = body
		}
	}
}

// saveLast writes the state when all readers have ended.
func (b *Broker) saveLast(ctx context.Context) {
	body, err := b.capture()
	if body != nil {
		err = b.saveState(ctx, body)
	}
	if err != nil {
		b.cfg.Logger.Warn("nothing was left for the next node, it will estimate the backlog", "error", err)
	}
}

// saveState writes the state. It returns when the server has it or ctx ends.
func (b *Broker) saveState(ctx context.Context, body []byte) error {
	s, _, _ := b.notes.link.state()
	if s == nil || b.blockOf(s) != nil {
		return errSpeechless
	}
	answer := make(chan error, 1)
	b.links.Go(func() { answer <- b.writeState(ctx, s, body) })
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *Broker) writeState(ctx context.Context, s *session, body []byte) error {
	ch, err := s.conn.Channel()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	defer func() { _ = ch.Close() }() // The answer tells nothing that the confirm does not.
	if err := ch.Confirm(false); err != nil {
		return fmt.Errorf("ask for confirms: %w", err)
	}
	confirm, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", b.cfg.Prefix+stateName, true, false, amqp.Publishing{
		DeliveryMode: amqp.Persistent, ContentType: "application/json", Body: body,
	})
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	acked, err := confirm.WaitContext(ctx)
	if err == nil && !acked {
		err = errNacked
	}
	return err
}
