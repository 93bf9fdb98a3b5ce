package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/fenfa/fenfa/internal/store"
)

// transaction writes batches of different partitions of one shard: all of them,
// but for those whose fence is not where they expect it.
type transaction struct {
	shard    *shard
	catalog  catalog
	requests []*request // sorted by partition
}

// run sets the error of every request.
func (t *transaction) run(ctx context.Context) {
	for len(t.requests) > 0 {
		err := t.once(ctx)
		if refused, ok := errors.AsType[*refusedError](err); ok {
			t.refuse(refused)
			continue
		}
		_, lost := errors.AsType[*lostError](err)
		if err != nil && len(t.requests) > 1 && !lost && kindOf(err) == kindOther {
			// One of the batches is at fault; the others do not suffer for it.
			t.alone(ctx)
			return
		}
		for _, r := range t.requests {
			r.err = err
		}
		if err == nil {
			t.shard.metrics.commits.Inc()
			t.shard.metrics.batches.Add(float64(len(t.requests)))
		}
		return
	}
}

// alone carries each batch out by itself.
func (t *transaction) alone(ctx context.Context) {
	for i := range t.requests {
		one := &transaction{shard: t.shard, catalog: t.catalog, requests: t.requests[i : i+1]}
		one.run(ctx)
	}
}

// refusedError says which batches may not happen.
type refusedError struct {
	reasons map[int]error // by partition
}

func (e *refusedError) Error() string { return fmt.Sprintf("%d batches are refused", len(e.reasons)) }

// refuse answers the batches that may not happen, and keeps the others.
func (t *transaction) refuse(refused *refusedError) {
	var left []*request
	for _, r := range t.requests {
		if reason := refused.reasons[r.batch.Part]; reason != nil {
			r.err = t.shard.on("commit", reason)
			continue
		}
		left = append(left, r)
	}
	t.requests = left
}

// once writes all batches, through conflicts and restarts of the server.
func (t *transaction) once(ctx context.Context) error {
	p := planner{catalog: t.catalog, changes: map[*table][]change{}}
	for _, r := range t.requests {
		if err := p.add(r.batch); err != nil {
			return fmt.Errorf("batch of partition %d: %w", r.batch.Part, err)
		}
	}
	var statements []statement
	for _, plan := range p.plans() {
		statements = append(statements, plan.statements()...)
	}
	rows := 0
	for i := range statements {
		rows += statements[i].rows
	}
	err := t.shard.retry(ctx, "commit", func(attempt context.Context) error {
		err := t.attempt(attempt, statements)
		if unknown, ok := errors.AsType[*unknownError](err); ok {
			return t.resolve(ctx, unknown) // The time of the attempt may be over.
		}
		if errors.Is(err, errMismatch) {
			return t.explain(attempt)
		}
		return err
	})
	if err == nil {
		t.shard.metrics.rows.Add(float64(rows))
	}
	return err
}

// attempt is one transaction: the fences first, which also lock the partitions.
func (t *transaction) attempt(ctx context.Context, statements []statement) error {
	if err := t.shard.prepare(ctx, statements); err != nil {
		return err
	}
	return t.shard.transact(ctx, t.shard.db, func(tx *sql.Tx) error {
		text, args := t.moveFences()
		moved, err := t.shard.exec(ctx, tx, "move fences", text, args...)
		if err != nil {
			return err
		}
		if int(moved) != len(t.requests) {
			return errMismatch
		}
		for i := range statements {
			if err := t.shard.write(ctx, tx, &statements[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// moveFences returns the one statement that checks and moves the fences of all
// partitions.
func (t *transaction) moveFences() (string, []any) {
	n := len(t.requests)
	cases := "CASE part" + strings.Repeat(" WHEN ? THEN ?", n) + " END"
	conditions := strings.TrimSuffix(strings.Repeat("(part = ? AND epoch = ? AND seq = ? AND hlc = ? AND status = ?) OR ", n), " OR ")
	const values = 4*2 + 5
	args := make([]any, 0, values*n)
	for _, value := range []func(f *store.Fence) any{
		func(f *store.Fence) any { return f.Seq },
		func(f *store.Fence) any { return uint64(f.HLC) },
		func(f *store.Fence) any { return f.Chain[:] },
		func(f *store.Fence) any { return uint64(f.GC) },
	} {
		for _, r := range t.requests {
			args = append(args, r.batch.Part, value(&r.batch.Next))
		}
	}
	for _, r := range t.requests {
		prev := &r.batch.Prev
		args = append(args, r.batch.Part, prev.Epoch, prev.Seq, uint64(prev.HLC), statusActive)
	}
	return "UPDATE fence SET seq = " + cases + ", hlc = " + cases + ", chain = " + cases + ", gc_hlc = " + cases + " WHERE " + conditions, args
}

func (t *transaction) parts() []int {
	parts := make([]int, len(t.requests))
	for i, r := range t.requests {
		parts[i] = r.batch.Part
	}
	return parts
}

// errMismatch says that a fence is not where its batch expects it.
var errMismatch = errors.New("a fence is not where it was expected")

// explain finds out which fences those are. The transaction that met them was
// rolled back.
func (t *transaction) explain(ctx context.Context) error {
	heads, err := t.shard.heads(ctx, t.shard.db, t.parts(), false)
	if err != nil {
		return err
	}
	refused := &refusedError{reasons: map[int]error{}}
	for _, r := range t.requests {
		h, ok := heads[r.batch.Part]
		if reason := refusal(h, ok, r.batch); reason != nil {
			refused.reasons[r.batch.Part] = reason
		}
	}
	if len(refused.reasons) == 0 {
		return errRace
	}
	return refused
}

// refusal says why the batch may not follow the head, or nil.
func refusal(h head, exists bool, b *store.Batch) error {
	switch {
	case !exists:
		return fmt.Errorf("%w: partition %d must be claimed first", store.ErrFenced, b.Part)
	case h.status != statusActive:
		return fmt.Errorf("%w: the fence of partition %d is %q", store.ErrFenced, b.Part, h.status)
	default:
		return h.Admit(b)
	}
}

// resolve finds out whether a transaction happened whose COMMIT was not answered.
// The fence of one of its partitions is read on a fresh connection, and locked,
// because the old one may still hold it; when the lock is had, it has ended. All
// batches of a transaction happened, or none, so one fence decides for all.
func (t *transaction) resolve(ctx context.Context, unknown *unknownError) error {
	s := t.shard
	s.metrics.unknown.Inc()
	s.log.Warn("the outcome of a commit is not known, reading it back", "error", unknown.err)
	var happened, ambiguous bool
	err := s.retry(ctx, "read outcome", func(ctx context.Context) error {
		fresh := s.pool(1)
		err := s.transact(ctx, fresh, func(tx *sql.Tx) (err error) {
			happened, ambiguous, err = s.outcome(ctx, tx, t.requests[0].batch)
			return err
		})
		return errors.Join(err, fresh.Close())
	})
	switch {
	case err != nil:
		return &lostError{fmt.Errorf("%w; then: %w", unknown, err)}
	case ambiguous:
		return &lostError{fmt.Errorf("%w: later owners have moved the fence: %w", store.ErrFenced, unknown)}
	case happened:
		return nil
	default:
		return fmt.Errorf("%w: it did not happen: %w", errAway, unknown.err)
	}
}

// outcome reports whether a batch happened. While its epoch lasts, the fence says
// so; after that, what the next owner found when it claimed the partition.
func (s *shard) outcome(ctx context.Context, tx *sql.Tx, b *store.Batch) (happened, ambiguous bool, err error) {
	heads, err := s.heads(ctx, tx, []int{b.Part}, true)
	if err != nil {
		return false, false, err
	}
	h, ok := heads[b.Part]
	if !ok || h.Epoch < b.Prev.Epoch {
		return false, true, nil // A server that lost what it had confirmed.
	}
	found := h.HLC
	if h.Epoch > b.Prev.Epoch {
		ambiguous = true
		err = s.query(ctx, tx, func(rows *sql.Rows) error {
			ambiguous = false
			return rows.Scan(&found)
		}, "read claim", "SELECT hlc FROM claim WHERE part = ? AND epoch > ? ORDER BY epoch LIMIT 1", b.Part, b.Prev.Epoch)
	}
	return found >= b.Next.HLC, ambiguous, err
}

// lostError is an outcome that stays unknown.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }

func (e *lostError) Unwrap() error { return e.err }
