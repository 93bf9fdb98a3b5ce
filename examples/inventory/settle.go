package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fenfa/fenfa"
)

// settle waits until all orders are answered and all receipts are written.
func (s *shop) settle(ctx context.Context) error {
	for i := range s.placed {
		p := &s.placed[i]
		if p.id.IsZero() {
			continue
		}
		st, err := s.await(ctx, p.id)
		if err == nil {
			err = st.DecodeResult(&p.answer)
		}
		if err == nil && !p.answer.Receipt.IsZero() {
			_, err = s.await(ctx, p.answer.Receipt)
		}
		if err != nil {
			return fmt.Errorf("order %d for %s: %w", i, p.SKU, err)
		}
	}
	return nil
}

// await asks for a task until it is done.
func (s *shop) await(ctx context.Context, id fenfa.ID) (*fenfa.TaskStatus, error) {
	const every = 20 * time.Millisecond
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		st, err := s.client.Task(ctx, id)
		switch {
		case err != nil && !errors.Is(err, fenfa.ErrNotFound):
			return nil, err
		case err == nil && st.State == fenfa.StateDone:
			return st, nil
		case err == nil && st.State.Final():
			return nil, fmt.Errorf("task %s is %s: %s", id, st.State, st.Error)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for task %s: %w", id, ctx.Err())
		}
	}
}
