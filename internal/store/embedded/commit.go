package embedded

import (
	"context"
	"fmt"
	"math/bits"
	"slices"

	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/codec"
)

// commit is one call of Commit. Its memory is used again by later calls.
type commit struct {
	s      *Store
	parts  []int    // the partitions of the call, sorted, each once
	locked []locked // of parts
	failed map[int]error
	done   chan error

	key, value []byte // of the row that is being encoded
}

// locked is a partition of the call and where its fence will be.
type locked struct {
	*head
	next  store.Fence
	moved bool
}

// Hurry implements store.Hurrier.
func (s *Store) Hurry() { s.db.Hurry() }

// Commit implements store.Store. An error that is not a *store.CommitError says
// that no batch happened.
func (s *Store) Commit(ctx context.Context, batches []store.Batch) error {
	if err := s.gate.Enter(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	defer s.gate.Leave()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	c, ok := s.commits.Get().(*commit)
	if !ok {
		c = &commit{s: s, done: make(chan error, 1)}
	}
	defer c.recycle()
	return c.run(batches)
}

func (c *commit) recycle() {
	c.parts, c.failed = c.parts[:0], nil
	clear(c.locked)
	c.locked = c.locked[:0]
	c.s.commits.Put(c)
}

func (c *commit) run(batches []store.Batch) error {
	c.lock(batches)
	kb := c.s.db.NewBatch()
	if err := c.encode(kb, batches); err != nil {
		c.unlock()
		kb.Discard()
		return fmt.Errorf("commit: %w", err)
	}
	if kb.Empty() {
		c.unlock()
		kb.Discard()
		return c.result()
	}
	for i := range c.locked {
		if l := &c.locked[i]; l.moved {
			l.fence = l.next
		}
	}
	// Queued under the locks: the fences move in the order in which they become
	// durable.
	if slices.ContainsFunc(batches, func(b store.Batch) bool { return !b.Lazy }) {
		c.s.db.Commit(kb, func(err error) { c.done <- err })
	} else {
		c.s.db.CommitLater(kb, func(err error) { c.done <- err })
	}
	c.unlock()
	if err := <-c.done; err != nil {
		c.fail(batches, translate(err))
	}
	return c.result()
}

// lock takes the locks of all partitions of the call, in their order, so that
// two calls cannot wait for each other.
func (c *commit) lock(batches []store.Batch) {
	for i := range batches {
		if part := batches[i].Part; checkPartition(part) == nil {
			c.parts = append(c.parts, part)
		}
	}
	slices.Sort(c.parts)
	c.parts = slices.Compact(c.parts)
	for _, part := range c.parts {
		h := c.s.head(part)
		h.mu.Lock()
		c.locked = append(c.locked, locked{head: h, next: h.fence})
	}
}

func (c *commit) unlock() {
	for i := range c.locked {
		c.locked[i].mu.Unlock()
	}
}

// encode adds the rows and fences of all batches that are not refused. Its
// error is a row that has no stored form; then nothing of the call happens.
func (c *commit) encode(kb *kv.Batch, batches []store.Batch) error {
	for i := range batches {
		b := &batches[i]
		if err := checkPartition(b.Part); err != nil {
			c.refuse(i, err)
			continue
		}
		at, _ := slices.BinarySearch(c.parts, b.Part)
		l := &c.locked[at]
		if err := l.check(l.next, b); err != nil {
			c.refuse(i, err)
			continue
		}
		if err := c.encodeRows(kb, b); err != nil {
			return fmt.Errorf("batch %d of partition %d: %w", i, b.Part, err)
		}
		l.next, l.moved = b.Next, true
	}
	for i := range c.locked {
		if l := &c.locked[i]; l.moved {
			c.key = appendFenceKey(c.key[:0], l.part)
			c.value = codec.AppendFence(c.value[:0], l.next)
			kb.Set(c.key, c.value)
		}
	}
	return nil
}

// encodeRows adds the rows of a batch, one table after another: inserting next to the
// row before saves the engine most of its search. Rows with one key keep their order.
func (c *commit) encodeRows(kb *kv.Batch, b *store.Batch) (err error) {
	for left := tablesOf(b.Puts); left != 0; left &= left - 1 {
		table := store.Table(bits.TrailingZeros32(left))
		for _, r := range b.Puts {
			if tableOf(r) != table {
				continue
			}
			if c.key, err = appendRowKey(c.key[:0], b.Part, r); err != nil {
				return err
			}
			if c.value, err = codec.AppendValue(c.value[:0], r); err != nil {
				return err
			}
			kb.Set(c.key, c.value)
		}
	}
	for _, r := range b.Deletes {
		if c.key, err = appendRowKey(c.key[:0], b.Part, r); err != nil {
			return err
		}
		kb.Delete(c.key)
	}
	return nil
}

// tablesOf is the set of tables that rows are of, a bit for each.
func tablesOf(rows []store.Row) (tables uint32) {
	for _, r := range rows {
		tables |= 1 << tableOf(r)
	}
	return tables
}

// tableOf is the table of a row, or none's where there is no row: that is refused when
// its key is asked for.
func tableOf(r store.Row) store.Table {
	if r == nil {
		return 0
	}
	return r.Table()
}

func (c *commit) refuse(batch int, reason error) {
	if c.failed == nil {
		c.failed = map[int]error{}
	}
	c.failed[batch] = reason
}

// fail blames the engine for all batches that were handed to it. Whether they
// are durable is for the next claim to find out.
func (c *commit) fail(batches []store.Batch, reason error) {
	for i := range batches {
		if c.failed[i] == nil {
			c.refuse(i, reason)
		}
	}
	for i := range c.locked {
		if l := &c.locked[i]; l.moved {
			l.mu.Lock()
			l.forget()
			l.mu.Unlock()
		}
	}
}

func (c *commit) result() error {
	if len(c.failed) == 0 {
		return nil
	}
	return &store.CommitError{Failed: c.failed}
}
