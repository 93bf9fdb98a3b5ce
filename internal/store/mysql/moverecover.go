package mysql

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"

	"github.com/fenfa/fenfa/internal/store"
)

// recoverMoves brings every move that a process left behind to where its partition
// can be claimed: at the target, if that was activated, else at the source. What is
// left to do is for Move.
func (s *Store) recoverMoves(ctx context.Context) error {
	moves, err := s.Moves(ctx)
	if err != nil {
		return err
	}
	for _, v := range moves {
		m, err := s.resume(ctx, v.Part)
		if err == nil {
			_, err = m.recover(ctx)
		}
		if err != nil {
			return fmt.Errorf("recover the move of partition %d: %w", v.Part, err)
		}
	}
	return nil
}

// resume returns what carries a move on that was begun. Whoever did so before cannot
// any more, once recover has been called too.
func (s *Store) resume(ctx context.Context, part int) (*mover, error) {
	value, version, err := meta{s}.Get(ctx, moveName(part))
	if err != nil {
		return nil, err
	}
	if version == 0 {
		return nil, store.ErrNoMove
	}
	_, v, err := decodeMove(store.Entry{Name: moveName(part), Value: value})
	if err != nil {
		return nil, err
	}
	if least := max(v.From, v.To) + 1; least > len(s.shards) || min(v.From, v.To) < 0 {
		return nil, fmt.Errorf("%w: it goes from shard %d to shard %d, and %d are configured", ErrShards, v.From, v.To, len(s.shards))
	}
	v.Token = rand.Text()
	version, err = s.putMove(ctx, part, &v, version)
	if err != nil {
		return nil, err
	}
	return &mover{s: s, part: part, from: s.shards[v.From], to: s.shards[v.To], token: v.Token, version: version}, nil
}

// recover makes sure that the partition can be claimed on one side and on no other,
// and reports whether that is the target.
func (m *mover) recover(ctx context.Context) (flipped bool, err error) {
	number := -1
	home := m.s.shards[0]
	err = home.retry(ctx, "read shard map", func(ctx context.Context) error {
		number, err = home.mapped(ctx, m.part)
		return err
	})
	if err != nil {
		return false, err
	}
	if number == m.to.number {
		return true, m.keepSource(ctx)
	}
	activated, err := m.takeOver(ctx)
	if err != nil {
		return false, err
	}
	if !activated {
		return false, m.unfreeze(ctx)
	}
	if err := m.flip(ctx); err != nil {
		return false, err
	}
	m.s.placement.remember(m.part, m.to.number)
	m.step(store.MoveFlipped)
	return true, m.keepSource(ctx)
}

// Placements implements store.Mover.
func (s *Store) Placements(ctx context.Context) ([]store.Placement, error) {
	if err := s.gate.Enter(); err != nil {
		return nil, fmt.Errorf("list placements: %w", err)
	}
	defer s.gate.Leave()
	home := s.shards[0]
	var list []store.Placement
	err := home.retry(ctx, "read shard map", func(ctx context.Context) error {
		list = nil
		return home.query(ctx, home.db, func(rows *sql.Rows) error {
			var p store.Placement
			if err := rows.Scan(&p.Part, &p.Shard); err != nil {
				return err
			}
			list = append(list, p)
			return nil
		}, "read shard map", "SELECT part, shard FROM shard_map ORDER BY part")
	})
	if err != nil {
		return nil, fmt.Errorf("list placements: %w", err)
	}
	parts := make([][]int, len(s.shards))
	for _, p := range list {
		if p.Shard < len(parts) {
			parts[p.Shard] = append(parts[p.Shard], p.Part)
		}
	}
	for number, sh := range s.shards {
		if len(parts[number]) == 0 {
			continue
		}
		var found map[int]head
		err := sh.retry(ctx, "read heads", func(ctx context.Context) (err error) {
			found, err = sh.heads(ctx, sh.db, parts[number], false)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list placements: %w", err)
		}
		for i := range list {
			if list[i].Shard == number {
				list[i].Fence = found[list[i].Part].Fence
			}
		}
	}
	return list, nil
}
