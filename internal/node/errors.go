package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"syscall"

	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// listen binds an address, or says what keeps it from being bound.
func listen(ctx context.Context, key, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err == nil {
		return l, nil
	}
	flag := "--" + strings.ReplaceAll(key, ".", "-")
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, task.Errorf(task.CodeFailedPrecondition,
			"%s is in use by another process: stop it, or choose another address with %s", address, flag).WithField(key)
	case errors.Is(err, syscall.EACCES):
		return nil, task.Errorf(task.CodeFailedPrecondition,
			"this user may not listen on %s: choose a port above 1023 with %s", address, flag).WithField(key)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, task.Errorf(task.CodeFailedPrecondition,
			"this machine has no address %s: choose another one with %s", address, flag).WithField(key)
	default:
		return nil, task.Errorf(task.CodeFailedPrecondition, "cannot listen on %s (%s): %w", address, flag, err).WithField(key)
	}
}

// dataDirError says why a data directory cannot be used.
func dataDirError(dir string, err error) error {
	switch {
	case errors.Is(err, kv.ErrLocked):
		return dirError("the data directory %s is in use by another node: stop that one, or choose another directory with --data-dir", dir)
	case errors.Is(err, kv.ErrNewerFormat):
		return dirError("the data directory %s was written by a newer version of fenfa, and was not changed: run that version, or choose another directory with --data-dir (%v)", dir, err)
	case errors.Is(err, fs.ErrPermission):
		return dirError("this user may not use the data directory %s: change its owner, or choose another one with --data-dir (%v)", dir, err)
	case errors.Is(err, syscall.ENOSPC):
		return dirError("the disk with the data directory %s is full: make room and start again (%v)", dir, err)
	default:
		return dirError("the data directory %s cannot be opened: %v", dir, err)
	}
}

func dirError(format string, args ...any) error {
	return task.Errorf(task.CodeFailedPrecondition, "%s", fmt.Sprintf(format, args...)).WithField("data_dir")
}

// metaPartitions is the name under which the store keeps the number of partitions.
const metaPartitions = "cluster/partitions"

// fixPartitions writes the number of partitions down at the first start, and
// refuses another one later: keys would be looked for in the wrong place.
func fixPartitions(ctx context.Context, meta store.Meta, partitions int) error {
	value, version, err := meta.Get(ctx, metaPartitions)
	if err != nil {
		return fmt.Errorf("read the number of partitions: %w", err)
	}
	if version == 0 {
		if _, err := meta.Put(ctx, metaPartitions, []byte(strconv.Itoa(partitions)), 0); err != nil {
			return fmt.Errorf("write the number of partitions: %w", err)
		}
		return nil
	}
	if string(value) != strconv.Itoa(partitions) {
		return task.Errorf(task.CodeFailedPrecondition,
			"this cluster was made with %s partitions, which cannot be changed: set partitions (--partitions) to %[1]s, not %d", value, partitions).WithField("partitions")
	}
	return nil
}
