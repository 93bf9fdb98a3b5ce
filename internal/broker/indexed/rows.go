package indexed

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Rows are described in docs/formats/index.md. Each begins with the version of its
// format; numbers are little endian, times are Unix microseconds.
const rowVersion = 1

const (
	idRowSize     = 1 + 4 + 2 + 8 + 8
	numberRowSize = 1 + 4
)

// idRow says what was published under an id.
type idRow struct {
	queue       uint32
	part        uint16
	fingerprint uint64
	publishedAt int64
}

// put writes the row into b, which has idRowSize bytes.
func (r *idRow) put(b []byte) {
	_ = b[idRowSize-1]
	b[0] = rowVersion
	binary.LittleEndian.PutUint32(b[1:], r.queue)
	binary.LittleEndian.PutUint16(b[5:], r.part)
	binary.LittleEndian.PutUint64(b[7:], r.fingerprint)
	binary.LittleEndian.PutUint64(b[15:], uint64(r.publishedAt))
}

func decodeIDRow(b []byte) (r idRow, err error) {
	if err := checkRow("id", b, idRowSize, idRowSize); err != nil {
		return r, err
	}
	return idRow{
		queue:       binary.LittleEndian.Uint32(b[1:]),
		part:        binary.LittleEndian.Uint16(b[5:]),
		fingerprint: binary.LittleEndian.Uint64(b[7:]),
		publishedAt: int64(binary.LittleEndian.Uint64(b[15:])),
	}, nil
}

// queueRow is what is remembered of a queue.
type queueRow struct {
	number uint32
	window time.Duration
}

func (r *queueRow) encode() []byte {
	b := []byte{rowVersion}
	b = binary.AppendUvarint(b, uint64(r.number))
	return binary.AppendUvarint(b, uint64(r.window))
}

func decodeQueueRow(b []byte) (r queueRow, err error) {
	if err := checkRow("queue", b, 1, math.MaxInt); err != nil {
		return r, err
	}
	p := task.NewParser(b[1:])
	number, window := p.Uvarint(), p.Uvarint()
	if err := p.End(); err != nil {
		return r, fmt.Errorf("decode queue row: %w", err)
	}
	if number > math.MaxUint32 || window > math.MaxInt64 {
		return r, fmt.Errorf("decode queue row: %w: a number is out of range", task.ErrCorrupt)
	}
	return queueRow{number: uint32(number), window: time.Duration(window)}, nil
}

func encodeNumber(n uint32) []byte {
	return binary.LittleEndian.AppendUint32([]byte{rowVersion}, n)
}

func decodeNumber(b []byte) (uint32, error) {
	if err := checkRow("number", b, numberRowSize, numberRowSize); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b[1:]), nil
}

// checkRow refuses rows of another version, or of a length that is not in
// [least, most].
func checkRow(name string, b []byte, least, most int) error {
	switch {
	case len(b) == 0:
		return fmt.Errorf("decode %s row: %w: it is empty", name, task.ErrCorrupt)
	case b[0] != rowVersion:
		return fmt.Errorf("decode %s row: format version %d is not known (this fenfa reads %d)", name, b[0], rowVersion)
	case len(b) < least || len(b) > most:
		return fmt.Errorf("decode %s row: %w: %d bytes", name, task.ErrCorrupt, len(b))
	}
	return nil
}
