package mysql

import (
	"context"
	"fmt"

	"github.com/fenfa/fenfa/internal/store"
)

// Fence implements store.Inspector.
func (s *Store) Fence(ctx context.Context, part int) (store.Fence, error) {
	fence, err := s.fence(ctx, part)
	if err != nil {
		return store.Fence{}, fmt.Errorf("read head of partition %d: %w", part, err)
	}
	return fence, nil
}

func (s *Store) fence(ctx context.Context, part int) (store.Fence, error) {
	if err := s.gate.Enter(); err != nil {
		return store.Fence{}, err
	}
	defer s.gate.Leave()
	sh, err := s.locate(ctx, part)
	if err != nil {
		return store.Fence{}, err
	}
	h, err := sh.head(ctx, part)
	if err == nil && h.status != statusActive {
		// It may have been moved since, by another process.
		if sh, err = s.place(ctx, part); err == nil {
			h, err = sh.head(ctx, part)
		}
	}
	return h.Fence, err
}

// head reads the fence of a partition.
func (s *shard) head(ctx context.Context, part int) (h head, err error) {
	err = s.retry(ctx, "read head", func(ctx context.Context) error {
		found, err := s.heads(ctx, s.db, []int{part}, false)
		h = found[part]
		return err
	})
	return h, err
}
