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

func (s *Store) fence(ctx context.Context, part int) (fence store.Fence, err error) {
	if err := s.gate.Enter(); err != nil {
		return store.Fence{}, err
	}
	defer s.gate.Leave()
	sh, err := s.locate(ctx, part)
	if err != nil {
		return store.Fence{}, err
	}
	err = sh.retry(ctx, "read head", func(ctx context.Context) error {
		found, err := sh.heads(ctx, sh.db, []int{part}, false)
		fence = found[part].Fence
		return err
	})
	return fence, err
}
