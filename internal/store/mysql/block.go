package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/go-sql-driver/mysql"
)

// blockRows is how many rows a block has: an insert that is prepared once on a
// connection, so that the server neither parses it nor makes its values anew. More
// rows would not fit its caches, fewer would take more round trips.
const blockRows = 256

// blocks are the prepared inserts of a shard, by table.
type blocks struct {
	mu       sync.Mutex
	prepared map[*table]*sql.Stmt
	refused  bool // the server, or a proxy before it, takes none
}

// errUnprepared says that a prepared statement is not known where it was used: the
// transaction is carried out without.
var errUnprepared = errors.New("the server does not know its prepared statement")

// unpreparedNumbers are a statement that is not known, that must be prepared anew,
// that is one too many, or that cannot be prepared there.
func unpreparedNumbers() []uint16 { return []uint16{1243, 1295, 1461, 1615} }

func isUnprepared(err error) bool {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && slices.Contains(unpreparedNumbers(), e.Number)
}

// prepare makes the statements ready that are blocks, outside of any transaction:
// it may take a connection. Where the server takes none, they go as text.
func (s *shard) prepare(ctx context.Context, statements []statement) error {
	for i := range statements {
		t := statements[i].block
		if t == nil {
			continue
		}
		if err := s.prepareBlock(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (s *shard) prepareBlock(ctx context.Context, t *table) error {
	s.blocks.mu.Lock()
	defer s.blocks.mu.Unlock()
	if s.blocks.refused || s.blocks.prepared[t] != nil {
		return nil
	}
	defer s.measure("prepare")()
	stmt, err := s.db.PrepareContext(ctx, t.texts.block) //nolint:sqlclosecheck // It lives as long as the pool.
	if isUnprepared(err) {
		s.blocks.refuse()
		return nil
	}
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if s.blocks.prepared == nil {
		s.blocks.prepared = map[*table]*sql.Stmt{}
	}
	s.blocks.prepared[t] = stmt
	return nil
}

// refuse lets everything go as text from now on. The caller holds mu.
func (b *blocks) refuse() {
	b.refused, b.prepared = true, nil
}

// of returns the prepared insert of a table, or nil.
func (b *blocks) of(t *table) *sql.Stmt {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.prepared[t]
}

// write sends a statement that writes rows, as a block where it is one.
func (s *shard) write(ctx context.Context, tx *sql.Tx, st *statement) error {
	var block *sql.Stmt
	if st.block != nil {
		block = s.blocks.of(st.block)
	}
	if block == nil {
		_, err := s.exec(ctx, tx, "write rows", st.text, st.args...)
		return err
	}
	defer s.measure("write rows")()
	_, err := tx.StmtContext(ctx, block).ExecContext(ctx, st.args...) //nolint:sqlclosecheck // The transaction closes it.
	if isUnprepared(err) {
		s.blocks.mu.Lock()
		s.blocks.refuse()
		s.blocks.mu.Unlock()
		s.log.Warn("prepared statements are lost between here and the database, going on without", "error", err)
		return errors.Join(errUnprepared, err)
	}
	if err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	return nil
}
