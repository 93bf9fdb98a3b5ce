package codec

import (
	"encoding/binary"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

const (
	opLogHasTask = 1 << iota
	opLogHasAfter
	opLogHasTx
	opLogFlags = 1<<iota - 1
)

func appendOpLog(b []byte, r *store.OpLog) []byte {
	var flags byte
	if !r.TaskID.IsZero() {
		flags |= opLogHasTask
	}
	if r.After != r.Seq {
		flags |= opLogHasAfter
	}
	if !r.Tx.IsZero() {
		flags |= opLogHasTx
	}
	b = append(b, flags, byte(r.Op))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.HLC))
	b = task.AppendBytes(b, r.Key)
	b = task.AppendBytes(b, r.Name)
	b = binary.AppendUvarint(b, r.Before)
	if flags&opLogHasAfter != 0 {
		b = binary.AppendUvarint(b, r.After)
	}
	b = task.AppendBytes(b, r.Value)
	if flags&opLogHasTask != 0 {
		b = append(b, r.TaskID[:]...)
	}
	b = binary.AppendUvarint(b, uint64(r.Attempt))
	b = task.AppendBytes(b, r.Node)
	b = task.AppendBytes(b, r.Worker)
	if flags&opLogHasTx != 0 {
		b = append(b, r.Tx[:]...)
	}
	return append(b, r.Hash[:]...)
}

func (d *decoder) opLog() *store.OpLog {
	r := &store.OpLog{Seq: d.key.uint64()}
	v := &d.value
	flags := d.flags(opLogFlags)
	r.Op = store.Op(v.Byte())
	r.HLC = task.Timestamp(v.Uint64())
	r.Key = v.String()
	r.Name = v.String()
	r.Before = v.Uvarint()
	r.After = r.Seq
	if flags&opLogHasAfter != 0 {
		r.After = v.Uvarint()
	}
	r.Value = v.Bytes()
	if flags&opLogHasTask != 0 {
		r.TaskID = v.ID()
	}
	r.Attempt = int(v.Uvarint())
	r.Node = v.String()
	r.Worker = v.String()
	if flags&opLogHasTx != 0 {
		r.Tx = v.ID()
	}
	r.Hash = hash(v)
	return r
}

// hash reads 32 bytes.
func hash(p *task.Parser) (h [32]byte) {
	first, second := p.ID(), p.ID()
	copy(h[:16], first[:])
	copy(h[16:], second[:])
	return h
}
