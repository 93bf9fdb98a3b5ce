package embedded

import (
	"context"
	"fmt"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

var _ broker.Peeker = (*Broker)(nil)

// Peek implements broker.Peeker. It reads one page at most.
func (b *Broker) Peek(_ context.Context, name string, partition int, from broker.Position, limit broker.Limit) (found []broker.Delivery, next broker.Position, err error) {
	if b.isClosed() {
		return nil, 0, broker.ErrClosed
	}
	q, err := b.find(name)
	if err != nil {
		return nil, 0, fmt.Errorf("look into log: %w", err)
	}
	if partition < 0 || partition >= len(q.logs) {
		return nil, 0, task.Errorf(task.CodeInvalidArgument, "queue %q has %d partitions: there is no partition %d", name, len(q.logs), partition)
	}
	l := q.logs[partition]
	first, to := l.unread()
	from = max(from, first)
	if from >= to {
		return nil, 0, nil
	}
	page, next, err := l.scan(b.db, from, to, broker.Limit{Tasks: min(max(limit.Tasks, 1), pageMessages), Bytes: bytesOf(limit)})
	if err != nil {
		return nil, 0, fmt.Errorf("look into log of queue %q, partition %d: %w", name, partition, err)
	}
	found = make([]broker.Delivery, len(page))
	for i := range page {
		found[i] = broker.Delivery{Position: page[i].pos, ID: page[i].id, Body: page[i].body}
	}
	if next >= to {
		next = 0
	}
	return found, next, nil
}

// bytesOf is how many bytes a page has that is read under the limit.
func bytesOf(limit broker.Limit) int {
	if limit.Bytes <= 0 {
		return pageBytes
	}
	return min(limit.Bytes, pageBytes)
}

// unread returns the range of positions of durable messages that the reader was not
// given; without a reader, of those that are not settled.
func (l *log) unread() (from, to broker.Position) {
	l.settleMu.Lock()
	defer l.settleMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	from = l.settled.pos
	if l.reader != nil {
		from = max(from, l.reader.window.end())
	}
	return from, l.durable
}
