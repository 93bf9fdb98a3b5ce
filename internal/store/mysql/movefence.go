package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/fenfa/fenfa/internal/store"
)

// Statuses of fences that nobody may claim or move.
const (
	statusMoving = "moving" // a copy that is being made
	statusMoved  = "moved"  // frozen at its source; or what is left of it there
)

// errTaken says that another process carries the move on, or that it has ended.
var errTaken = fmt.Errorf("%w: another process carries the move on", store.ErrFenced)

// fenced runs f in a transaction that holds the fence of a partition. found is false
// when there is none. An attempt whose outcome is unknown is repeated.
func (s *shard) fenced(ctx context.Context, operation string, part int, f func(ctx context.Context, tx *sql.Tx, h head, found bool) error) error {
	return s.retry(ctx, operation, func(ctx context.Context) error {
		return s.transact(ctx, s.db, func(tx *sql.Tx) error {
			heads, err := s.heads(ctx, tx, []int{part}, true)
			if err != nil {
				return err
			}
			h, found := heads[part]
			return f(ctx, tx, h, found)
		})
	})
}

// setHead writes a fence that the transaction holds.
func (s *shard) setHead(ctx context.Context, tx *sql.Tx, part int, h head) error {
	n, err := s.exec(ctx, tx, "set fence", "UPDATE fence SET epoch = ?, seq = ?, hlc = ?, chain = ?, gc_hlc = ?, status = ?, claim = ? WHERE part = ?",
		h.Epoch, h.Seq, uint64(h.HLC), h.Chain[:], uint64(h.GC), h.status, h.claim, part)
	if err == nil && n != 1 {
		return errRace
	}
	return err
}

// noteClaim writes down what was found at an epoch, for those who read an outcome
// back.
func (s *shard) noteClaim(ctx context.Context, tx *sql.Tx, part int, f store.Fence) error {
	_, err := s.exec(ctx, tx, "insert claim",
		"INSERT INTO claim (part, epoch, seq, hlc, claimed_at) VALUES (?, ?, ?, ?, UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE seq = VALUES(seq), hlc = VALUES(hlc)",
		part, f.Epoch, f.Seq, uint64(f.HLC))
	return err
}

// prepare makes the target take copies of who has the token, and of nobody else.
func (m *mover) prepare(ctx context.Context) error {
	return m.to.fenced(ctx, "prepare target", m.part, func(ctx context.Context, tx *sql.Tx, h head, found bool) error {
		switch {
		case found && h.status == statusActive:
			return fmt.Errorf("the fence of partition %d is %q there, and the map names another shard", m.part, h.status)
		case found:
			h.status, h.claim = statusMoving, m.token
			return m.to.setHead(ctx, tx, m.part, h)
		}
		_, err := m.to.exec(ctx, tx, "insert fence", "INSERT INTO fence (part, "+headColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			m.part, 0, 0, 0, h.Chain[:], 0, statusMoving, m.token)
		if isDuplicate(err) {
			return fmt.Errorf("%w: %w", errRace, err)
		}
		return err
	})
}

// freeze keeps everybody from committing at the source, from the given epoch on, and
// returns what the partition's head is for good.
func (m *mover) freeze(ctx context.Context, epoch uint64) (frozen store.Fence, err error) {
	err = m.from.fenced(ctx, "freeze source", m.part, func(ctx context.Context, tx *sql.Tx, h head, _ bool) error {
		if h.status == statusMoved && h.claim == m.token {
			frozen = h.Fence
			return nil
		}
		if h.status != statusActive || h.Epoch != epoch {
			return fmt.Errorf("%w: the fence of partition %d is %q at epoch %d, not %q at %d", store.ErrFenced, m.part, h.status, h.Epoch, statusActive, epoch)
		}
		h.Epoch++
		h.status, h.claim = statusMoved, m.token
		frozen = h.Fence
		return errors.Join(m.from.setHead(ctx, tx, m.part, h), m.from.noteClaim(ctx, tx, m.part, h.Fence))
	})
	return frozen, err
}

// unfreeze lets the source be claimed again, if it was frozen. Nothing may be able to
// activate the target any more.
func (m *mover) unfreeze(ctx context.Context) error {
	return m.from.fenced(ctx, "unfreeze source", m.part, func(ctx context.Context, tx *sql.Tx, h head, found bool) error {
		if !found || h.status == statusActive {
			return nil
		}
		h.Epoch++
		h.status = statusActive
		return errors.Join(m.from.setHead(ctx, tx, m.part, h), m.from.noteClaim(ctx, tx, m.part, h.Fence))
	})
}

// activate makes the target continue where the source was frozen.
func (m *mover) activate(ctx context.Context, frozen store.Fence) error {
	return m.to.fenced(ctx, "activate target", m.part, func(ctx context.Context, tx *sql.Tx, h head, _ bool) error {
		if h.claim != m.token {
			return errTaken
		}
		if h.status == statusActive {
			return nil
		}
		next := head{Fence: frozen, status: statusActive, claim: m.token}
		next.Epoch++
		return errors.Join(m.to.setHead(ctx, tx, m.part, next), m.to.noteClaim(ctx, tx, m.part, next.Fence))
	})
}

// takeOver keeps whoever carried the move on before from going on with it, and
// reports whether the target was activated.
func (m *mover) takeOver(ctx context.Context) (activated bool, err error) {
	err = m.to.fenced(ctx, "take move over", m.part, func(ctx context.Context, tx *sql.Tx, h head, found bool) error {
		activated = found && h.status == statusActive
		if !found || activated {
			return nil
		}
		h.status, h.claim = statusMoving, m.token
		return m.to.setHead(ctx, tx, m.part, h)
	})
	return activated, err
}

// keepSource keeps whoever carried the move on before from clearing the source.
func (m *mover) keepSource(ctx context.Context) error {
	return m.from.fenced(ctx, "take move over", m.part, func(ctx context.Context, tx *sql.Tx, h head, found bool) error {
		if !found || h.status != statusMoved {
			return fmt.Errorf("the fence of partition %d is %q there, though the partition was moved away", m.part, h.status)
		}
		h.claim = m.token
		return m.from.setHead(ctx, tx, m.part, h)
	})
}

// flip makes the map name the target, if it names the source.
func (m *mover) flip(ctx context.Context) error {
	home := m.s.shards[0]
	return home.retry(ctx, "flip shard map", func(ctx context.Context) error {
		n, err := home.exec(ctx, home.db, "write shard map", "UPDATE shard_map SET shard = ? WHERE part = ? AND shard = ?", m.to.number, m.part, m.from.number)
		if err != nil || n == 1 {
			return err
		}
		number, err := home.mapped(ctx, m.part)
		if err == nil && number != m.to.number {
			return fmt.Errorf("partition %d is on shard %d, neither where it was nor where it goes", m.part, number)
		}
		return err
	})
}

// mapped returns the shard that the map names; -1: none. It is asked on shard 0.
func (s *shard) mapped(ctx context.Context, part int) (number int, err error) {
	number = -1
	err = s.query(ctx, s.db, func(rows *sql.Rows) error { return rows.Scan(&number) }, "read shard map", "SELECT shard FROM shard_map WHERE part = ?", part)
	return number, err
}
