package codec

import (
	"encoding/binary"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

const (
	branchHasDeadline = 1 << iota
	branchHasTask
	branchFlags = 1<<iota - 1
)

func appendBranch(b []byte, r *store.Branch) []byte {
	var flags byte
	if !r.Deadline.IsZero() {
		flags |= branchHasDeadline
	}
	if !r.TaskID.IsZero() {
		flags |= branchHasTask
	}
	b = append(b, flags, byte(r.State))
	b = binary.AppendUvarint(b, uint64(r.Home))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Began))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.At))
	if flags&branchHasDeadline != 0 {
		b = binary.AppendVarint(b, r.Deadline.UnixMicro())
	}
	if flags&branchHasTask != 0 {
		b = append(b, r.TaskID[:]...)
	}
	b = binary.AppendUvarint(b, uint64(r.Attempt))
	return task.AppendBytes(b, r.Worker)
}

func (d *decoder) branch() *store.Branch {
	r := &store.Branch{Tx: d.key.id()}
	v := &d.value
	flags := d.flags(branchFlags)
	r.State = store.TxState(v.Byte())
	r.Home = int(v.Uvarint())
	r.Began = task.Timestamp(v.Uint64())
	r.At = task.Timestamp(v.Uint64())
	if flags&branchHasDeadline != 0 {
		r.Deadline = time.UnixMicro(v.Varint()).UTC()
	}
	if flags&branchHasTask != 0 {
		r.TaskID = v.ID()
	}
	r.Attempt = int(v.Uvarint())
	r.Worker = v.String()
	return r
}

func appendIntent(b []byte, r *store.Intent) []byte {
	b = append(b, byte(r.Op))
	b = binary.AppendUvarint(b, r.Expected)
	b = binary.AppendVarint(b, r.Delta)
	return task.AppendBytes(b, r.Value)
}

func (d *decoder) intent() *store.Intent {
	return &store.Intent{
		Tx:       d.key.id(),
		Key:      d.key.string(),
		Name:     d.key.string(),
		Op:       store.IntentOp(d.value.Byte()),
		Expected: d.value.Uvarint(),
		Delta:    d.value.Varint(),
		Value:    d.value.Bytes(),
	}
}

const (
	txnHasTask = 1 << iota
	txnFlags   = 1<<iota - 1
)

func appendTxn(b []byte, r *store.Txn) []byte {
	var flags byte
	if !r.TaskID.IsZero() {
		flags |= txnHasTask
	}
	b = append(b, flags, byte(r.State))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Began))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.At))
	if flags&txnHasTask != 0 {
		b = append(b, r.TaskID[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Parts)))
	for _, part := range r.Parts {
		b = binary.AppendUvarint(b, uint64(part))
	}
	return b
}

func (d *decoder) txn() *store.Txn {
	r := &store.Txn{Tx: d.key.id()}
	v := &d.value
	flags := d.flags(txnFlags)
	r.State = store.TxState(v.Byte())
	r.Began = task.Timestamp(v.Uint64())
	r.At = task.Timestamp(v.Uint64())
	if flags&txnHasTask != 0 {
		r.TaskID = v.ID()
	}
	n := v.Uvarint()
	if n > uint64(len(v.Rest())) {
		// A number that the rest cannot hold must not size an allocation.
		d.invalid = true
		return r
	}
	for range n {
		r.Parts = append(r.Parts, int(v.Uvarint()))
	}
	return r
}
