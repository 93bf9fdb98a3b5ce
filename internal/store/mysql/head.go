package mysql

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// statusActive is the status of a fence that may be claimed and moved. Whatever
// else stands there keeps every owner out.
const statusActive = "active"

// head is a partition's row of the table fence.
type head struct {
	store.Fence
	status string
	claim  string // drawn by whoever claimed the partition last
}

const headColumns = "epoch, seq, hlc, chain, gc_hlc, status, claim"

// scanHead reads headColumns, behind what is given.
func scanHead(rows *sql.Rows, h *head, before ...any) error {
	var chain []byte
	if err := rows.Scan(append(before, &h.Epoch, &h.Seq, &h.HLC, &chain, &h.GC, &h.status, &h.claim)...); err != nil {
		return err
	}
	if copy(h.Chain[:], chain) != len(h.Chain) {
		return fmt.Errorf("%w: the chain of a fence has %d bytes", task.ErrCorrupt, len(chain))
	}
	return nil
}

// heads reads the fences of partitions, those that there are. With lock it waits
// for transactions that hold them, and so sees the outcome of each.
func (s *shard) heads(ctx context.Context, q querier, parts []int, lock bool) (map[int]head, error) {
	found := make(map[int]head, len(parts))
	args := make([]any, len(parts))
	for i, part := range parts {
		args[i] = part
	}
	text := "SELECT part, " + headColumns + " FROM fence WHERE part IN " + parameters(len(parts)) + " ORDER BY part"
	if lock {
		text += " FOR UPDATE"
	}
	err := s.query(ctx, q, func(rows *sql.Rows) error {
		var part int
		var h head
		if err := scanHead(rows, &h, &part); err != nil {
			return err
		}
		found[part] = h
		return nil
	}, "read fence", text, args...)
	return found, err
}

// claim raises the epoch of a partition. The claim's own token tells it from any
// other of the same epoch, when its outcome was unknown.
func (s *shard) claim(ctx context.Context, part int, epoch uint64) (store.Fence, error) {
	token := rand.Text()
	var fence store.Fence
	err := s.retry(ctx, "claim", func(ctx context.Context) error {
		return s.transact(ctx, s.db, func(tx *sql.Tx) error {
			found, err := s.heads(ctx, tx, []int{part}, true)
			if err != nil {
				return err
			}
			current, ok := found[part]
			if current.claim == token {
				fence = current.Fence
				return nil
			}
			if ok && current.status != statusActive {
				return fmt.Errorf("%w: the fence of partition %d is %q", errInactive, part, current.status)
			}
			if fence, err = current.Claimed(epoch); err != nil {
				return err
			}
			return s.writeClaim(ctx, tx, part, current, fence, ok, token)
		})
	})
	return fence, err
}

// errInactive says that a fence may not be claimed.
var errInactive = errors.New("the partition was taken out of service here")

// keptClaims is how many claims of a partition are remembered.
const keptClaims = 1000

func (s *shard) writeClaim(ctx context.Context, tx *sql.Tx, part int, current head, next store.Fence, exists bool, token string) error {
	if err := s.writeFence(ctx, tx, part, current, next, exists, token); err != nil {
		return err
	}
	_, err := s.exec(ctx, tx, "insert claim", "INSERT INTO claim (part, epoch, seq, hlc, claimed_at) VALUES (?, ?, ?, ?, UTC_TIMESTAMP(6))",
		part, next.Epoch, next.Seq, uint64(next.HLC))
	if err != nil || next.Epoch <= keptClaims {
		return err
	}
	_, err = s.exec(ctx, tx, "delete claims", "DELETE FROM claim WHERE part = ? AND epoch < ?", part, next.Epoch-keptClaims)
	return err
}

func (s *shard) writeFence(ctx context.Context, tx *sql.Tx, part int, current head, next store.Fence, exists bool, token string) error {
	if !exists {
		_, err := s.exec(ctx, tx, "insert fence", "INSERT INTO fence (part, "+headColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			part, next.Epoch, next.Seq, uint64(next.HLC), next.Chain[:], uint64(next.GC), statusActive, token)
		if isDuplicate(err) {
			return fmt.Errorf("%w: %w", errRace, err)
		}
		return err
	}
	n, err := s.exec(ctx, tx, "claim fence", "UPDATE fence SET epoch = ?, claim = ? WHERE part = ? AND epoch = ? AND status = ?",
		next.Epoch, token, part, current.Epoch, statusActive)
	if err == nil && n != 1 {
		return errRace
	}
	return err
}

// errRace says that another transaction was first, though a lock should have kept
// it out; the next attempt sees what it did.
var errRace = errors.New("another transaction was first")
