package embedded

import (
	"context"
	"fmt"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/kv"
)

// Bounds of one page that is read from the disk.
const (
	pageMessages = 4096
	pageBytes    = 1 << 20
	chunkBytes   = 64 << 10 // bodies are copied into chunks of this size
)

// fillOrWait reads the next page when the reader is behind the tail, else waits
// until the tail has something, or the reader or ctx ends.
func (r *reader) fillOrWait(ctx context.Context) error {
	l := r.log
	l.mu.Lock()
	from, to := r.cursor, l.tailStart()
	r.waiting = from >= to && l.tail.n == 0
	waiting := r.waiting
	l.mu.Unlock()
	switch {
	case from < to:
		return r.readPage(ctx, from, to)
	case !waiting:
		return nil
	}
	select {
	case <-r.wake:
	case <-r.over:
	case <-ctx.Done():
	}
	return nil
}

// readPage reads messages in [from, to) from the disk, as many as a page holds.
// All of them are durable.
func (r *reader) readPage(ctx context.Context, from, to broker.Position) error {
	if !r.settled {
		// What an earlier reader settled may still be on its way to the disk.
		if err := r.broker.db.Barrier(ctx); err != nil {
			return fmt.Errorf("read next messages: %w", err)
		}
		r.settled = true
	}
	next, err := r.scanPage(from, to)
	if err != nil {
		return fmt.Errorf("read messages of queue %q, partition %d: %w", r.log.queue.decl.Load().Queue, r.log.part, err)
	}
	r.broker.metrics.pages.Inc()
	r.log.mu.Lock()
	r.cursor = next
	r.log.mu.Unlock()
	return nil
}

func (r *reader) scanPage(from, to broker.Position) (next broker.Position, err error) {
	r.page, next, err = r.log.scan(r.broker.db, from, to, broker.Limit{Tasks: pageMessages, Bytes: pageBytes})
	return next, err
}

// scan reads messages in [from, to) from the disk, as many as the limit allows, and
// returns where to go on.
func (l *log) scan(db *kv.DB, from, to broker.Position, limit broker.Limit) (page []message, next broker.Position, err error) {
	it, err := db.Iter(logKey(l.queue.number, l.part, from), logKey(l.queue.number, l.part, to))
	if err != nil {
		return nil, 0, err
	}
	defer func() {
		if closeErr := it.Close(); err == nil {
			err = closeErr
		}
	}()
	var chunk []byte
	page = make([]message, 0, min(limit.Tasks, int(to-from)))
	size := 0
	for ok := it.First(); ok; ok = it.Next() {
		pos, valid := logPosition(it.Key())
		row, err := decodeLogRow(it.Value())
		if !valid || err != nil {
			return nil, 0, fmt.Errorf("position %d: %w", pos, err)
		}
		if cap(chunk)-len(chunk) < len(row.body) {
			chunk = make([]byte, 0, max(chunkBytes, len(row.body)))
		}
		start := len(chunk)
		chunk = append(chunk, row.body...)
		page = append(page, message{pos: pos, id: row.id, body: chunk[start:len(chunk):len(chunk)]})
		if size += len(row.body); size >= limit.Bytes || len(page) == limit.Tasks {
			return page, pos + 1, nil
		}
	}
	return page, to, nil
}
