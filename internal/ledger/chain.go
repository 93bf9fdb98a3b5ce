package ledger

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Chain returns the hash of an op-log row: SHA-256 over the hash of the row
// before it and the row's own content. The layout is part of the stored format
// (docs/formats/oplog.md). scratch is reused and returned grown.
func Chain(before [32]byte, row *store.OpLog, scratch []byte) (hash [32]byte, grown []byte) {
	b := append(scratch[:0], before[:]...)
	b = binary.BigEndian.AppendUint64(b, row.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(row.HLC))
	b = append(b, byte(row.Op))
	b = task.AppendBytes(b, row.Key)
	b = task.AppendBytes(b, row.Name)
	b = binary.BigEndian.AppendUint64(b, row.Before)
	b = binary.BigEndian.AppendUint64(b, row.After)
	b = task.AppendBytes(b, row.Value)
	b = append(b, row.TaskID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(row.Attempt))
	b = task.AppendBytes(b, row.Node)
	b = task.AppendBytes(b, row.Worker)
	if !row.Tx.IsZero() {
		b = append(b, row.Tx[:]...)
	}
	return sha256.Sum256(b), b
}
