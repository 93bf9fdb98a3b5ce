package codec

import (
	"encoding/binary"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

const (
	recordHasTask = 1 << iota
	recordHasTx
	recordEscrow
	recordFlags = 1<<iota - 1
)

func appendRecord(b []byte, r *store.Record) []byte {
	var flags byte
	if !r.TaskID.IsZero() {
		flags |= recordHasTask
	}
	if !r.Tx.IsZero() {
		flags |= recordHasTx
	}
	if r.Escrow {
		flags |= recordEscrow
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, r.Version)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.UpdatedAt))
	if flags&recordHasTask != 0 {
		b = append(b, r.TaskID[:]...)
	}
	if flags&recordHasTx != 0 {
		b = append(b, r.Tx[:]...)
	}
	return task.AppendBytes(b, r.Value)
}

func (d *decoder) record() *store.Record {
	r := &store.Record{Key: d.key.string(), Name: d.key.string()}
	flags := d.flags(recordFlags)
	r.Version = d.value.Uvarint()
	r.UpdatedAt = task.Timestamp(d.value.Uint64())
	if flags&recordHasTask != 0 {
		r.TaskID = d.value.ID()
	}
	if flags&recordHasTx != 0 {
		r.Tx = d.value.ID()
	}
	r.Escrow = flags&recordEscrow != 0
	r.Value = d.value.Bytes()
	return r
}
