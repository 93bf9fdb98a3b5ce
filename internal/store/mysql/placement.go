package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
)

// maxPartition is the greatest number that a column of partitions holds.
const maxPartition = 1<<16 - 1

func checkPartition(part int) error {
	if part < 0 || part > maxPartition {
		return fmt.Errorf("partition %d is out of range: want 0 to %d", part, maxPartition)
	}
	return nil
}

// placement knows which shard holds which partition. The table shard_map on shard 0
// is the truth; a claim reads it anew, other calls remember it.
type placement struct {
	mu    sync.Mutex
	parts map[int]int
	// made is the number of shards with which the cluster was made: a partition that
	// nobody placed yet is on shard part % made.
	made    int
	cluster string
}

func (p *placement) known(part int) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, ok := p.parts[part]
	return n, ok
}

func (p *placement) remember(part, shard int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parts[part] = shard
}

// locate returns the shard of a partition as it was last known.
func (s *Store) locate(ctx context.Context, part int) (*shard, error) {
	if err := checkPartition(part); err != nil {
		return nil, err
	}
	if n, ok := s.placement.known(part); ok {
		return s.shards[n], nil
	}
	return s.place(ctx, part)
}

// place reads from shard 0 where a partition is, and writes it down when nobody has
// yet: so a change of the number of shards never moves it.
func (s *Store) place(ctx context.Context, part int) (*shard, error) {
	home := s.shards[0]
	number := -1
	err := home.retry(ctx, "read shard map", func(ctx context.Context) error {
		var err error
		if number, err = home.mapped(ctx, part); err != nil || number >= 0 {
			return err
		}
		_, err = home.exec(ctx, home.db, "write shard map",
			"INSERT INTO shard_map (part, shard) VALUES (?, ?) ON DUPLICATE KEY UPDATE part = VALUES(part)", part, part%s.placement.made)
		if err == nil {
			number, err = home.mapped(ctx, part)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if number >= len(s.shards) {
		return nil, fmt.Errorf("%w: partition %d is on shard %d, and only %d shards are configured", ErrShards, part, number, len(s.shards))
	}
	s.placement.remember(part, number)
	return s.shards[number], nil
}

// checkPlaced refuses to start without a shard that holds partitions.
func (s *Store) checkPlaced(ctx context.Context) error {
	home := s.shards[0]
	most := -1
	err := home.retry(ctx, "read shard map", func(ctx context.Context) error {
		return home.query(ctx, home.db, func(rows *sql.Rows) error { return rows.Scan(&most) }, "read shard map", "SELECT COALESCE(MAX(shard), -1) FROM shard_map")
	})
	if err != nil {
		return err
	}
	if needed := max(most+1, s.placement.made); needed > len(s.shards) {
		addresses := make([]string, len(s.shards))
		for i, sh := range s.shards {
			addresses[i] = sh.address.String()
		}
		return fmt.Errorf("%w: there are partitions on %d shards, and %d are configured (%s)", ErrShards, needed, len(s.shards), strings.Join(addresses, "; "))
	}
	return nil
}
