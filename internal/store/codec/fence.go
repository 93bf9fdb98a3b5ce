package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// AppendFence appends the stored form of a partition's head to b.
func AppendFence(b []byte, f store.Fence) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, f.Epoch)
	b = binary.AppendUvarint(b, f.Seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(f.HLC))
	return append(b, f.Chain[:]...)
}

// DecodeFence reads a head back.
func DecodeFence(value []byte) (store.Fence, error) {
	p := task.NewParser(value)
	if v := p.Byte(); !p.Failed() && v != version {
		return store.Fence{}, fmt.Errorf("decode fence: %w: format version %d is not known (this fenfa reads %d)", task.ErrCorrupt, v, version)
	}
	f := store.Fence{Epoch: p.Uvarint(), Seq: p.Uvarint(), HLC: task.Timestamp(p.Uint64()), Chain: hash(&p)}
	if err := p.End(); err != nil {
		return store.Fence{}, fmt.Errorf("decode fence: %w", err)
	}
	return f, nil
}
