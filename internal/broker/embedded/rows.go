package embedded

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// Rows are described in docs/formats/broker.md. Each begins with the version of
// its format; numbers are little endian, times are Unix microseconds.
const rowVersion = 1

const (
	logHeaderSize = 1 + 8 + 16 + 8
	indexRowSize  = 1 + 4 + 2 + 8 + 8 + 8
	countsRowSize = 1 + 8 + 8 + 8
	markRowSize   = 1 + 8
)

// logRow is a message in the log.
type logRow struct {
	fingerprint uint64
	id          task.ID
	publishedAt int64
	body        []byte // shares the row's bytes
}

// put writes the row into b, which has logHeaderSize+len(body) bytes.
func (r *logRow) put(b []byte) {
	b[0] = rowVersion
	binary.LittleEndian.PutUint64(b[1:], r.fingerprint)
	copy(b[9:25], r.id[:])
	binary.LittleEndian.PutUint64(b[25:], uint64(r.publishedAt))
	copy(b[logHeaderSize:], r.body)
}

func decodeLogRow(b []byte) (r logRow, err error) {
	if err := checkRow("message", b, logHeaderSize, math.MaxInt); err != nil {
		return r, err
	}
	r.fingerprint = binary.LittleEndian.Uint64(b[1:])
	copy(r.id[:], b[9:25])
	r.publishedAt = int64(binary.LittleEndian.Uint64(b[25:]))
	r.body = b[logHeaderSize:]
	return r, nil
}

// indexRow says where the task with an id is, or was.
type indexRow struct {
	queue       uint32
	part        uint16
	pos         broker.Position
	fingerprint uint64
	publishedAt int64
}

// put writes the row into b, which has indexRowSize bytes.
func (r *indexRow) put(b []byte) {
	_ = b[indexRowSize-1]
	b[0] = rowVersion
	binary.LittleEndian.PutUint32(b[1:], r.queue)
	binary.LittleEndian.PutUint16(b[5:], r.part)
	binary.LittleEndian.PutUint64(b[7:], uint64(r.pos))
	binary.LittleEndian.PutUint64(b[15:], r.fingerprint)
	binary.LittleEndian.PutUint64(b[23:], uint64(r.publishedAt))
}

func decodeIndexRow(b []byte) (r indexRow, err error) {
	if err := checkRow("index", b, indexRowSize, indexRowSize); err != nil {
		return r, err
	}
	return indexRow{
		queue:       binary.LittleEndian.Uint32(b[1:]),
		part:        binary.LittleEndian.Uint16(b[5:]),
		pos:         broker.Position(binary.LittleEndian.Uint64(b[7:])),
		fingerprint: binary.LittleEndian.Uint64(b[15:]),
		publishedAt: int64(binary.LittleEndian.Uint64(b[23:])),
	}, nil
}

// counts is how far a log got and how much went into it, or out of it, since
// it was made.
type counts struct {
	pos   broker.Position // published: the next one to assign; settled: the head
	tasks int64
	bytes int64
}

// put writes the row into b, which has countsRowSize bytes.
func (c *counts) put(b []byte) {
	_ = b[countsRowSize-1]
	b[0] = rowVersion
	binary.LittleEndian.PutUint64(b[1:], uint64(c.pos))
	binary.LittleEndian.PutUint64(b[9:], uint64(c.tasks))
	binary.LittleEndian.PutUint64(b[17:], uint64(c.bytes))
}

func decodeCounts(b []byte) (c counts, err error) {
	if err := checkRow("counts", b, countsRowSize, countsRowSize); err != nil {
		return c, err
	}
	c = counts{
		pos:   broker.Position(binary.LittleEndian.Uint64(b[1:])),
		tasks: int64(binary.LittleEndian.Uint64(b[9:])),
		bytes: int64(binary.LittleEndian.Uint64(b[17:])),
	}
	if c.tasks < 0 || c.bytes < 0 {
		return counts{}, fmt.Errorf("decode counts row: %w: negative", task.ErrCorrupt)
	}
	return c, nil
}

func encodeMark(pos broker.Position) []byte {
	return binary.LittleEndian.AppendUint64([]byte{rowVersion}, uint64(pos))
}

func decodeMark(b []byte) (broker.Position, error) {
	if err := checkRow("mark", b, markRowSize, markRowSize); err != nil {
		return 0, err
	}
	return broker.Position(binary.LittleEndian.Uint64(b[1:])), nil
}

// queueRow is a queue's declaration and its number.
type queueRow struct {
	number uint32
	broker.Declaration
}

func (r *queueRow) encode() []byte {
	b := []byte{rowVersion}
	b = binary.AppendUvarint(b, uint64(r.number))
	b = binary.AppendUvarint(b, uint64(r.Partitions))
	b = binary.AppendUvarint(b, uint64(r.MaxTasks))
	b = binary.AppendUvarint(b, uint64(r.MaxBytes))
	return binary.AppendUvarint(b, uint64(r.DedupeWindow))
}

func decodeQueueRow(name string, b []byte) (r queueRow, err error) {
	if err := checkRow("queue", b, 1, math.MaxInt); err != nil {
		return r, err
	}
	p := task.NewParser(b[1:])
	number, partitions := p.Uvarint(), p.Uvarint()
	tasks, bytes, window := p.Uvarint(), p.Uvarint(), p.Uvarint()
	if err := p.End(); err != nil {
		return r, fmt.Errorf("decode queue row: %w", err)
	}
	if number > math.MaxUint32 || partitions == 0 || partitions > maxPartitions || max(tasks, bytes, window) > math.MaxInt64 {
		return r, fmt.Errorf("decode queue row: %w: a number is out of range", task.ErrCorrupt)
	}
	return queueRow{number: uint32(number), Declaration: broker.Declaration{
		Queue: name, Partitions: int(partitions), MaxTasks: int64(tasks), MaxBytes: int64(bytes), DedupeWindow: time.Duration(window),
	}}, nil
}

func encodeNumber(n uint32) []byte {
	return binary.LittleEndian.AppendUint32([]byte{rowVersion}, n)
}

func decodeNumber(b []byte) (uint32, error) {
	if err := checkRow("number", b, 5, 5); err != nil {
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
