package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// fenceVersion is the format version of a partition's head; version 1 had no GC.
const fenceVersion = 2

// AppendFence appends the stored form of a partition's head to b.
func AppendFence(b []byte, f store.Fence) []byte {
	b = append(b, fenceVersion)
	b = binary.AppendUvarint(b, f.Epoch)
	b = binary.AppendUvarint(b, f.Seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(f.HLC))
	b = append(b, f.Chain[:]...)
	return binary.LittleEndian.AppendUint64(b, uint64(f.GC))
}

// DecodeFence reads a head back.
func DecodeFence(value []byte) (store.Fence, error) {
	p := task.NewParser(value)
	v := p.Byte()
	if !p.Failed() && v != 1 && v != fenceVersion {
		return store.Fence{}, fmt.Errorf("decode fence: %w: format version %d is not known (this fenfa reads 1 to %d)", task.ErrCorrupt, v, fenceVersion)
	}
	f := store.Fence{Epoch: p.Uvarint(), Seq: p.Uvarint(), HLC: task.Timestamp(p.Uint64()), Chain: hash(&p)}
	if v == fenceVersion {
		f.GC = task.Timestamp(p.Uint64())
	}
	if err := p.End(); err != nil {
		return store.Fence{}, fmt.Errorf("decode fence: %w", err)
	}
	return f, nil
}
