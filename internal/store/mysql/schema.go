package mysql

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// Migrations take a schema from one version to the next, and are never changed
// once they were released. MySQL ends a transaction at each of their statements, so
// each may be repeated.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is the statements that lead to a version.
type migration struct {
	version    int
	statements []string
}

// migrations returns all of them, the oldest first.
func migrations() ([]migration, error) {
	files, err := migrationFiles.ReadDir("migrations")
	if err != nil {
		return nil, err
	}
	var list []migration
	for _, f := range files {
		number, _, _ := strings.Cut(f.Name(), "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("migration %s has no number: %w", f.Name(), err)
		}
		content, err := migrationFiles.ReadFile("migrations/" + f.Name())
		if err != nil {
			return nil, err
		}
		list = append(list, migration{version: version, statements: splitStatements(string(content))})
	}
	slices.SortFunc(list, func(a, b migration) int { return a.version - b.version })
	return list, nil
}

// splitStatements cuts a file at the semicolons that end lines, and leaves comments
// out.
func splitStatements(content string) []string {
	var lines []string
	for line := range strings.Lines(content) {
		if !strings.HasPrefix(line, "--") {
			lines = append(lines, line)
		}
	}
	var statements []string
	for s := range strings.SplitSeq(strings.Join(lines, ""), ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			statements = append(statements, s)
		}
	}
	return statements
}

// schemaLock keeps nodes that start at once from changing the schema together. It
// is one for each database.
const schemaLock = "CONCAT('fenfa.schema.', DATABASE())"

// migrate brings the tables of a shard to the version of this binary, or says that
// they are newer.
func (s *shard) migrate(ctx context.Context) error {
	list, err := migrations()
	if err != nil {
		return err
	}
	return s.retry(ctx, "migrate schema", func(ctx context.Context) error { return s.migrateOnce(ctx, list) })
}

func (s *shard) migrateOnce(ctx context.Context, list []migration) (err error) {
	// The lock belongs to its connection.
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	var locked sql.NullInt64
	seconds := int(s.timeout.Seconds())
	err = s.query(ctx, conn, func(rows *sql.Rows) error { return rows.Scan(&locked) }, "lock schema", "SELECT GET_LOCK("+schemaLock+", ?)", max(1, seconds-1))
	if err != nil {
		return err
	}
	if locked.Int64 != 1 {
		return fmt.Errorf("%w: another node is changing the schema", errAway)
	}
	migrateErr := s.migrateLocked(ctx, conn, list)
	_, unlockErr := s.exec(ctx, conn, "unlock schema", "DO RELEASE_LOCK("+schemaLock+")")
	return errors.Join(migrateErr, unlockErr)
}

func (s *shard) migrateLocked(ctx context.Context, conn *sql.Conn, list []migration) error {
	version, err := s.schemaVersion(ctx, conn)
	if err != nil {
		return err
	}
	newest := list[len(list)-1].version
	if version > newest {
		return fmt.Errorf("%w: they have version %d, this one knows up to %d", ErrNewerSchema, version, newest)
	}
	for _, m := range list {
		if m.version <= version {
			continue
		}
		for _, statement := range m.statements {
			if _, err := s.exec(ctx, conn, "migrate schema", statement); err != nil && !wasDone(err) {
				return fmt.Errorf("migration %d: %w", m.version, err)
			}
		}
		_, err := s.exec(ctx, conn, "migrate schema",
			"INSERT INTO schema_version (version, applied_at) VALUES (?, UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE version = VALUES(version)", m.version)
		if err != nil {
			return err
		}
		s.log.Info("schema migrated", "version", m.version)
	}
	return nil
}

// schemaVersion returns 0 for a database without tables.
func (s *shard) schemaVersion(ctx context.Context, conn *sql.Conn) (int, error) {
	_, err := s.exec(ctx, conn, "migrate schema",
		"CREATE TABLE IF NOT EXISTS schema_version (version INT NOT NULL, applied_at DATETIME(6) NOT NULL, PRIMARY KEY (version)) ENGINE = InnoDB")
	if err != nil {
		return 0, err
	}
	var version int
	err = s.query(ctx, conn, func(rows *sql.Rows) error { return rows.Scan(&version) }, "read schema", "SELECT COALESCE(MAX(version), 0) FROM schema_version")
	return version, err
}

// wasDone reports whether a statement says that what it makes is there, or what it
// drops is not.
func wasDone(err error) bool {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && slices.Contains([]uint16{1050, 1060, 1061, 1091}, e.Number)
}
