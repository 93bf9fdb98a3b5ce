package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/fenfa/fenfa/internal/task"
)

// AppendMeta appends the stored form of a named value to b.
func AppendMeta(b []byte, valueVersion uint64, value []byte) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, valueVersion)
	return task.AppendBytes(b, value)
}

// DecodeMeta reads a named value back; it shares b.
func DecodeMeta(b []byte) (valueVersion uint64, value []byte, err error) {
	p := task.NewParser(b)
	if v := p.Byte(); !p.Failed() && v != version {
		return 0, nil, fmt.Errorf("decode named value: %w: format version %d is not known (this fenfa reads %d)", task.ErrCorrupt, v, version)
	}
	valueVersion, value = p.Uvarint(), p.Bytes()
	if err := p.End(); err != nil {
		return 0, nil, fmt.Errorf("decode named value: %w", err)
	}
	return valueVersion, value, nil
}
