package embedded

import (
	"context"
	"fmt"
	"sync"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/codec"
)

// head is the current fence of one partition.
type head struct {
	part int

	mu    sync.Mutex
	known bool // fence is what the engine has, or will have when its queue is done
	owned bool // was claimed since it is known
	fence store.Fence
}

// head returns the partition's head, which may not be known yet.
func (s *Store) head(part int) *head {
	s.headsMu.Lock()
	defer s.headsMu.Unlock()
	h := s.heads[part]
	if h == nil {
		h = &head{part: part}
		s.heads[part] = h
	}
	return h
}

// forget makes the next claim read the head back.
func (h *head) forget() {
	h.known, h.owned = false, false
}

// load makes the head known; h.mu is held.
func (s *Store) load(ctx context.Context, h *head) error {
	if h.known {
		return nil
	}
	// What a failed commit left in the engine's queue must be visible first.
	if err := s.db.Barrier(ctx); err != nil {
		return err
	}
	value, ok, err := s.db.Get(appendFenceKey(nil, h.part))
	if err != nil {
		return err
	}
	fence := store.Fence{}
	if ok {
		if fence, err = codec.DecodeFence(value); err != nil {
			return err
		}
	}
	h.fence, h.known = fence, true
	return nil
}

// Claim implements store.Store. The new epoch is durable when it returns.
func (s *Store) Claim(ctx context.Context, part int, epoch uint64) (store.Fence, error) {
	fence, err := s.claim(ctx, part, epoch)
	if err != nil {
		return store.Fence{}, fmt.Errorf("claim partition %d: %w", part, translate(err))
	}
	return fence, nil
}

func (s *Store) claim(ctx context.Context, part int, epoch uint64) (store.Fence, error) {
	if err := checkPartition(part); err != nil {
		return store.Fence{}, err
	}
	if err := s.gate.Enter(); err != nil {
		return store.Fence{}, err
	}
	defer s.gate.Leave()
	if err := ctx.Err(); err != nil {
		return store.Fence{}, err
	}
	h := s.head(part)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := s.load(ctx, h); err != nil {
		return store.Fence{}, err
	}
	next, err := h.fence.Claimed(epoch)
	if err != nil {
		return store.Fence{}, err
	}
	b := s.db.NewBatch()
	b.Set(appendFenceKey(nil, part), codec.AppendFence(nil, next))
	if err := s.db.CommitWait(context.WithoutCancel(ctx), b); err != nil {
		h.forget()
		return store.Fence{}, err
	}
	h.fence, h.owned = next, true
	return next, nil
}

// Fence implements store.Inspector.
func (s *Store) Fence(ctx context.Context, part int) (store.Fence, error) {
	if err := s.gate.Enter(); err != nil {
		return store.Fence{}, fmt.Errorf("read head of partition %d: %w", part, err)
	}
	defer s.gate.Leave()
	h := head{part: part}
	err := checkPartition(part)
	if err == nil {
		err = s.load(ctx, &h)
	}
	if err == nil {
		err = s.db.Barrier(ctx) // What is seen may not be durable yet.
	}
	if err != nil {
		return store.Fence{}, fmt.Errorf("read head of partition %d: %w", part, translate(err))
	}
	return h.fence, nil
}

// check says why the batch may not follow the fence current; h.mu is held.
func (h *head) check(current store.Fence, b *store.Batch) error {
	if !h.owned {
		return fmt.Errorf("%w: partition %d must be claimed first", store.ErrFenced, h.part)
	}
	return current.Admit(b)
}
