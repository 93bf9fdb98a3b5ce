package embedded

import (
	"context"
	"fmt"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/kv"
)

// mark is a durable mark on its way: after a restart nothing from its position on
// can have been handed out.
type mark struct {
	pos  broker.Position
	done chan struct{} // closed when it is durable, or failed with err
	err  error
}

// reserve returns when the durable mark of the log is above pos. Well before the
// mark is reached the next one is set, so that reading rarely waits for it.
func (r *reader) reserve(ctx context.Context, pos broker.Position) error {
	l := r.log
	ahead := broker.Position(r.broker.cfg.Reservation)
	for {
		l.mu.Lock()
		if l.reader != r {
			// Nothing may be written any more: the queue may have been removed.
			l.mu.Unlock()
			return r.ended()
		}
		if pos+ahead/2 >= l.reserved && l.reserving == nil {
			l.reserving = &mark{pos: pos + max(ahead, 1), done: make(chan struct{})}
			l.commitMark(r.broker.db, l.reserving)
		}
		reserved, m := l.reserved, l.reserving
		l.mu.Unlock()
		if pos < reserved {
			return nil
		}
		select {
		case <-m.done:
			if m.err != nil {
				return fmt.Errorf("reserve positions: %w", m.err)
			}
		case <-ctx.Done():
			return fmt.Errorf("reserve positions: %w", context.Cause(ctx))
		}
	}
}

// commitMark hands the mark to kv; mu is held.
func (l *log) commitMark(db *kv.DB, m *mark) {
	batch := db.NewBatch()
	batch.Set(stateKey(l.queue.number, l.part, stateReserved), encodeMark(m.pos))
	db.Commit(batch, func(err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if err == nil {
			l.reserved = m.pos
		}
		l.reserving = nil
		m.err = err
		close(m.done)
	})
}
