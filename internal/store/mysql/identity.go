package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// identity is what a database knows about itself: the row of its table shard. The
// zero value is that of a new one.
type identity struct {
	cluster string
	number  int
	shards  int // with how many the cluster was made
}

// identify makes sure that each database is the shard that it is configured as,
// and tells new ones what they are. It writes nothing before all were looked at, so
// that a mistake in the addresses spoils no new database.
func (s *Store) identify(ctx context.Context) error {
	if err := s.checkIdentities(ctx); err != nil {
		return err
	}
	home, err := s.shards[0].identity(ctx, identity{cluster: newCluster(s.shards[0].clock.Now()), shards: len(s.shards)})
	if err != nil {
		return err
	}
	s.placement.made, s.placement.cluster = home.shards, home.cluster
	for i, sh := range s.shards {
		want := identity{cluster: home.cluster, number: i, shards: home.shards}
		got, err := sh.identity(ctx, want)
		if err != nil {
			return err
		}
		if err := sh.refuse(got, want); err != nil {
			return err
		}
	}
	return s.checkPlaced(ctx)
}

func newCluster(now time.Time) string { return task.NewID(now).String() }

// checkIdentities reads what each database is, and refuses what identify could not
// make one cluster of.
func (s *Store) checkIdentities(ctx context.Context) error {
	if err := s.checkDistinct(ctx); err != nil {
		return err
	}
	// Shard 0 is written first, by another node too: read last, it tells which of the
	// others may be new.
	found := make([]identity, len(s.shards))
	for i := len(s.shards) - 1; i >= 0; i-- {
		var err error
		if found[i], err = s.shards[i].readIdentity(ctx); err != nil {
			return err
		}
	}
	home := found[0]
	for i, got := range found {
		if got == (identity{}) && i > 0 {
			continue
		}
		if home == (identity{}) && got != home {
			return fmt.Errorf("%w: %s is configured as shard 0 and is empty, and %s is shard %d of cluster %s: "+
				"give the databases in their first order, new ones at the end", ErrShards, s.shards[0].address, s.shards[i].address, got.number, got.cluster)
		}
		if home != (identity{}) {
			if err := s.shards[i].refuse(got, identity{cluster: home.cluster, number: i, shards: home.shards}); err != nil {
				return err
			}
		}
	}
	return nil
}

// refuse returns an error unless a database is what it is configured as.
func (s *shard) refuse(got, want identity) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%w: %s is configured as shard %d of cluster %s, and it is shard %d of cluster %s: "+
		"give the databases in their first order, new ones at the end", ErrShards, s.address, want.number, want.cluster, got.number, got.cluster)
}

// identity returns what the database is; a new one becomes what is proposed.
func (s *shard) identity(ctx context.Context, proposed identity) (identity, error) {
	got, err := s.readIdentity(ctx)
	if err != nil || got != (identity{}) {
		return got, err
	}
	err = s.retry(ctx, "write identity", func(ctx context.Context) error {
		_, err := s.exec(ctx, s.db, "write identity",
			"INSERT INTO shard (id, cluster, number, shards) VALUES (1, ?, ?, ?) ON DUPLICATE KEY UPDATE id = VALUES(id)", proposed.cluster, proposed.number, proposed.shards)
		return err
	})
	if err != nil {
		return identity{}, err
	}
	return s.readIdentity(ctx)
}

// readIdentity returns what the database is, or the zero value for a new one.
func (s *shard) readIdentity(ctx context.Context) (got identity, err error) {
	err = s.retry(ctx, "read identity", func(ctx context.Context) error {
		got = identity{}
		return s.query(ctx, s.db, func(rows *sql.Rows) error { return rows.Scan(&got.cluster, &got.number, &got.shards) },
			"read identity", "SELECT cluster, number, shards FROM shard WHERE id = 1")
	})
	if err == nil && got != (identity{}) && (got.cluster == "" || got.shards < 1) {
		err = s.on("read identity", errors.New("the row of table shard is damaged"))
	}
	return got, err
}
