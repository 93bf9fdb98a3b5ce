package indexed_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// forgetful is a broker in memory that knows no ids: what is published twice is in
// the log twice. Reopened gives another one over the same logs.
type forgetful struct {
	mu     *sync.Mutex
	queues map[string]*fakeQueue
	closed bool
}

type fakeQueue struct {
	decl broker.Declaration
	logs []*fakeLog
}

type fakeLog struct {
	entries []fakeEntry
	epoch   uint64
	reader  *fakeReader
}

type fakeEntry struct {
	d       broker.Delivery
	settled bool
}

type fakeReader struct {
	b     *forgetful
	log   *fakeLog
	next  int
	cause error         // why it ended
	wake  chan struct{} // replaced when something changes; under mu
}

func newForgetful() *forgetful {
	return &forgetful{mu: &sync.Mutex{}, queues: map[string]*fakeQueue{}}
}

// reopened is the broker after a restart of its process.
func (b *forgetful) reopened() *forgetful {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.queues {
		for _, l := range q.logs {
			l.epoch = 0
		}
	}
	return &forgetful{mu: b.mu, queues: b.queues}
}

func (*forgetful) Capabilities() broker.Capabilities {
	return broker.Capabilities{Durability: "none", StablePositions: true, ExactBacklog: true}
}

func (b *forgetful) find(name string) (*fakeQueue, error) {
	if b.closed {
		return nil, broker.ErrClosed
	}
	if q := b.queues[name]; q != nil {
		return q, nil
	}
	return nil, fmt.Errorf("%w: %q", broker.ErrNoQueue, name)
}

func (q *fakeQueue) size() (n broker.Backlog) {
	for _, l := range q.logs {
		for i := range l.entries {
			if !l.entries[i].settled {
				n.Tasks++
				n.Bytes += int64(len(l.entries[i].d.Body))
			}
		}
	}
	return n
}

func (b *forgetful) Publish(ctx context.Context, batch []broker.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.closed {
		return broker.ErrClosed
	}
	failed := map[int]error{}
	for i, m := range batch {
		q, err := b.find(m.Queue)
		switch {
		case err != nil:
			failed[i] = err
			continue
		case m.Partition < 0 || m.Partition >= len(q.logs):
			failed[i] = task.Errorf(task.CodeInvalidArgument, "no partition %d", m.Partition)
			continue
		}
		size := q.size()
		if d := q.decl; !m.Owed && (d.MaxTasks > 0 && size.Tasks >= d.MaxTasks || d.MaxBytes > 0 && size.Bytes+int64(len(m.Body)) > d.MaxBytes) {
			failed[i] = broker.ErrFull
			continue
		}
		l := q.logs[m.Partition]
		l.entries = append(l.entries, fakeEntry{d: broker.Delivery{Position: broker.Position(len(l.entries) + 1), ID: m.ID, Body: m.Body}})
		if l.reader != nil {
			l.reader.signal()
		}
	}
	if len(failed) > 0 {
		return &broker.PublishError{Failed: failed}
	}
	return nil
}

func (b *forgetful) Open(_ context.Context, name string, part int, epoch uint64) (broker.Reader, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q, err := b.find(name)
	if err != nil {
		return nil, err
	}
	if part < 0 || part >= len(q.logs) {
		return nil, task.Errorf(task.CodeInvalidArgument, "no partition %d", part)
	}
	l := q.logs[part]
	if epoch < l.epoch {
		return nil, broker.ErrFenced
	}
	l.epoch = epoch
	r := &fakeReader{b: b, log: l, wake: make(chan struct{})}
	if l.reader != nil {
		l.reader.end(broker.ErrFenced)
	}
	l.reader = r
	return r, nil
}

func (b *forgetful) Backlog(_ context.Context, name string) (broker.Backlog, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q, err := b.find(name)
	if err != nil {
		return broker.Backlog{}, err
	}
	return q.size(), nil
}

func (b *forgetful) Declare(_ context.Context, d broker.Declaration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return broker.ErrClosed
	}
	if err := task.ValidateQueueName(d.Queue); err != nil {
		return err
	}
	if d.Partitions < 1 || d.Partitions > 4096 {
		return task.Errorf(task.CodeInvalidArgument, "%d partitions", d.Partitions)
	}
	q := b.queues[d.Queue]
	if q == nil {
		q = &fakeQueue{}
		for range d.Partitions {
			q.logs = append(q.logs, &fakeLog{})
		}
		b.queues[d.Queue] = q
	}
	q.decl = d
	return nil
}

func (b *forgetful) Remove(_ context.Context, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	q, err := b.find(name)
	if err != nil {
		return err
	}
	delete(b.queues, name)
	q.end(broker.ErrNoQueue)
	return nil
}

func (q *fakeQueue) end(cause error) {
	for _, l := range q.logs {
		if l.reader != nil {
			l.reader.end(cause)
			l.reader = nil
		}
	}
}

func (b *forgetful) Close(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, q := range b.queues {
		q.end(broker.ErrClosed)
	}
	return nil
}

// signal wakes those who wait; mu is held.
func (r *fakeReader) signal() {
	close(r.wake)
	r.wake = make(chan struct{})
}

func (r *fakeReader) end(cause error) {
	r.cause = cause
	r.signal()
}

func (r *fakeReader) Next(ctx context.Context, limit broker.Limit) ([]broker.Delivery, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ds, wake, err := r.take(limit)
		if err != nil || len(ds) > 0 {
			return ds, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
		}
	}
}

func (r *fakeReader) take(limit broker.Limit) (ds []broker.Delivery, wake <-chan struct{}, err error) {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	size := 0
	for r.cause == nil && r.next < len(r.log.entries) && len(ds) < max(1, limit.Tasks) && (limit.Bytes <= 0 || size < limit.Bytes) {
		if e := &r.log.entries[r.next]; !e.settled {
			ds = append(ds, e.d)
			size += len(e.d.Body)
		}
		r.next++
	}
	return ds, r.wake, r.cause
}

func (r *fakeReader) Settle(_ context.Context, positions ...broker.Position) error {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	if r.cause != nil {
		return r.cause
	}
	for _, pos := range positions {
		if i := int(pos) - 1; i >= 0 && i < r.next {
			r.log.entries[i].settled = true
		}
	}
	return nil
}

func (r *fakeReader) Close(context.Context) error {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	if r.cause == nil {
		r.end(broker.ErrClosed)
		r.log.reader = nil
	}
	return nil
}
