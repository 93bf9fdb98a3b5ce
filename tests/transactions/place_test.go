package transactions

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/mariadbserver"
	"github.com/fenfa/fenfa/internal/mariadbserver/mariadbtest"
)

// shards is how many servers the state is spread over on MariaDB.
const shards = 3

// place is where banks have their state.
type place struct {
	servers []*mariadbserver.Server // one for each shard; none: beside the node
	banks   int
}

// TestTransactionsOnTheEmbeddedStore has the state beside the node.
func TestTransactionsOnTheEmbeddedStore(t *testing.T) { everything(t, &place{}) }

// TestTransactionsOnThreeMariaDBServers has the state in three shards, each a database
// on a private server of its own.
func TestTransactionsOnThreeMariaDBServers(t *testing.T) {
	p := &place{}
	// The servers are killed and the machine is not: what they wrote stays without a
	// sync, and the tables of each bank are made in a fraction of the time.
	settings := []string{"--innodb-flush-method=nosync"}
	for range shards {
		p.servers = append(p.servers, mariadbtest.Private(t, mariadbserver.Config{Settings: settings}))
	}
	everything(t, p)
}

// everything is what holds wherever the state is.
func everything(t *testing.T, p *place) {
	t.Helper()
	t.Run("a commit is whole wherever the node dies", func(t *testing.T) { aCommitIsWholeWhereverTheNodeDies(t, p) })
	t.Run("a task takes effect once wherever the node dies", func(t *testing.T) { aTaskTakesEffectOnceWhereverTheNodeDies(t, p) })
	t.Run("the sum stays while all is killed and frozen", func(t *testing.T) { theSumStaysWhileAllIsKilledAndFrozen(t, p) })
}

// databases makes the databases of a new bank and returns their addresses.
func (p *place) databases(t *testing.T) (addresses []string) {
	t.Helper()
	p.banks++
	for _, s := range p.servers {
		address, err := s.Database(t.Context(), fmt.Sprint("bank", p.banks))
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, address)
	}
	return addresses
}

// flags are those of a node that uses the databases.
func flags(addresses []string) []string {
	if len(addresses) == 0 {
		return nil
	}
	return []string{"--store-url=" + strings.Join(addresses, ",")}
}

// held counts, by hand, the records that transactions hold in the databases.
func (b *bank) held(ctx context.Context) (n int) {
	b.t.Helper()
	for shard, address := range b.databases {
		db, err := mariadbserver.Open(address)
		if err != nil {
			b.t.Fatal(err)
		}
		count, err := countIntents(ctx, db)
		if err = errors.Join(err, db.Close()); err != nil {
			b.t.Fatalf("count intents of shard %d: %v", shard, err)
		}
		n += count
	}
	return n
}

func countIntents(ctx context.Context, db *sql.DB) (n int, err error) {
	err = db.QueryRowContext(ctx, "SELECT COUNT(*) FROM intent").Scan(&n)
	return n, err
}
