package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"github.com/fenfa/fenfa/internal/audit"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/store"
	storeembedded "github.com/fenfa/fenfa/internal/store/embedded"
)

// AuditDir audits partitions in the data directory of a node that does not run; none:
// all. It returns what was looked at, one summary for each partition.
func AuditDir(ctx context.Context, dir string, parts []int, found func(audit.Difference) error, progress func(audit.Summary)) (sums []audit.Summary, err error) {
	// An engine that finds nothing makes a new directory.
	if _, err := os.Stat(filepath.Join(dir, "LOCK")); errors.Is(err, fs.ErrNotExist) {
		return nil, dirError("%s is not a data directory of fenfa", dir)
	}
	db, err := kv.Open(kv.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)}) //nolint:contextcheck // It ends with this call.
	if errors.Is(err, kv.ErrLocked) {
		return nil, dirError("the data directory %s is in use by a node: audit that node (--addr), or stop it", dir)
	}
	if err != nil {
		return nil, dataDirError(dir, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s, err := storeembedded.New(storeembedded.Config{DB: db})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close(context.WithoutCancel(ctx))) }()
	return auditStore(ctx, s, dir, parts, found, progress)
}

func auditStore(
	ctx context.Context, s *storeembedded.Store, dir string, parts []int, found func(audit.Difference) error, progress func(audit.Summary),
) ([]audit.Summary, error) {
	cluster, elsewhere, err := s.Meta().Get(ctx, metaElsewhere)
	if err != nil {
		return nil, fmt.Errorf("read where state lies: %w", err)
	}
	if elsewhere != 0 {
		return nil, dirError("the state that belongs to the data directory %s is in databases, which are named %s: start the node and audit it with --addr", dir, cluster)
	}
	partitions, err := storedPartitions(ctx, s.Meta(), dir)
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		for part := range partitions {
			parts = append(parts, part)
		}
	}
	sums := make([]audit.Summary, 0, len(parts))
	for _, part := range parts {
		if part < 0 || part >= partitions {
			return nil, dirError("the data directory %s has partitions 0 to %d, not %d", dir, partitions-1, part)
		}
		head, err := s.Fence(ctx, part)
		if err != nil {
			return sums, err
		}
		sum, err := audit.Run(ctx, audit.Config{
			Store: s, Partitions: partitions, Part: part, Head: head, Found: found, Progress: progress,
		})
		if err != nil {
			return sums, err
		}
		sums = append(sums, sum)
	}
	return sums, nil
}

// storedPartitions reads how many partitions a data directory was made with.
func storedPartitions(ctx context.Context, meta store.Meta, dir string) (int, error) {
	value, version, err := meta.Get(ctx, metaPartitions)
	if err != nil {
		return 0, fmt.Errorf("read the number of partitions: %w", err)
	}
	partitions, err := strconv.Atoi(string(value))
	if version == 0 || err != nil || partitions < 1 {
		return 0, dirError("the data directory %s does not say how many partitions it has: no node was ever ready on it", dir)
	}
	return partitions, nil
}
