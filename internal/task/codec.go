package task

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
	"unsafe"
)

// The stored form of a task, version 1, is described in docs/formats/task.md.
const codecVersion = 1

// Flags of optional parts, in the order in which the parts follow.
const (
	hasHeaders = 1 << iota
	hasPriority
	hasRunAt
	hasExpiresAt
	hasTimeout
	hasRetry
	hasPlacement
	knownFlags = 1<<iota - 1
)

// ErrCorrupt is wrapped by every error of a decoder that met bytes which the
// encoder does not write.
var ErrCorrupt = errors.New("corrupt bytes")

// Append appends the stored form of the task to b.
func (t *Task) Append(b []byte) []byte {
	b = append(b, codecVersion)
	b = append(b, t.ID[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.CreatedAt))
	return t.appendContent(b)
}

// contentAt is where the submitter's content begins in the stored form: after
// version, ID and timestamp.
const contentAt = 1 + 16 + 8

func (t *Task) appendContent(b []byte) []byte {
	flags := t.flags()
	b = append(b, flags)
	b = appendBytes(b, t.Queue)
	b = appendBytes(b, t.Key)
	b = appendBytes(b, t.Type)
	b = appendBytes(b, t.Payload)
	if flags&hasHeaders != 0 {
		b = binary.AppendUvarint(b, uint64(len(t.Headers)))
		for _, h := range t.Headers {
			b = appendBytes(b, h.Name)
			b = appendBytes(b, h.Value)
		}
	}
	if flags&hasPriority != 0 {
		b = append(b, byte(t.Priority))
	}
	if flags&hasRunAt != 0 {
		b = binary.AppendVarint(b, t.RunAt.UnixMicro())
	}
	if flags&hasExpiresAt != 0 {
		b = binary.AppendVarint(b, t.ExpiresAt.UnixMicro())
	}
	if flags&hasTimeout != 0 {
		b = binary.AppendVarint(b, int64(t.Timeout))
	}
	if flags&hasRetry != 0 {
		b = binary.AppendVarint(b, int64(t.Retry.Base))
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(t.Retry.Factor))
		b = binary.AppendVarint(b, int64(t.Retry.Max))
		b = binary.AppendVarint(b, int64(t.Retry.MaxAttempts))
	}
	if flags&hasPlacement != 0 {
		b = appendBytes(b, string(t.Placement.Require))
		b = appendBytes(b, string(t.Placement.Prefer))
	}
	return b
}

func (t *Task) flags() byte {
	var f byte
	for i, set := range [...]bool{
		len(t.Headers) > 0, t.Priority != 0, !t.RunAt.IsZero(), !t.ExpiresAt.IsZero(), t.Timeout != 0, t.Retry != nil,
		t.Placement != Placement{},
	} {
		if set {
			f |= 1 << i
		}
	}
	return f
}

// Decode reads the stored form. The task's strings and slices share b, which
// must not change afterwards.
func Decode(b []byte) (Task, error) {
	var t Task
	if len(b) < 1+16+8+1 {
		return t, fmt.Errorf("decode task: %w: %d bytes are too few", ErrCorrupt, len(b))
	}
	if b[0] != codecVersion {
		return t, fmt.Errorf("decode task: format version %d is not known (this fenfa reads %d)", b[0], codecVersion)
	}
	copy(t.ID[:], b[1:17])
	t.CreatedAt = Timestamp(binary.LittleEndian.Uint64(b[17:25]))
	flags := b[25]
	if flags&^byte(knownFlags) != 0 {
		return t, fmt.Errorf("decode task %s: %w: unknown flags %#x", t.ID, ErrCorrupt, flags)
	}
	r := Parser{rest: b[26:]}
	t.Queue = r.String()
	t.Key = r.String()
	t.Type = r.String()
	t.Payload = r.Bytes()
	if flags&hasHeaders != 0 {
		n := r.Uvarint()
		if n > uint64(len(r.rest)) {
			r.fail()
		}
		for i := uint64(0); i < n && !r.failed; i++ {
			t.Headers = append(t.Headers, Header{Name: r.String(), Value: r.String()})
		}
	}
	if flags&hasPriority != 0 {
		t.Priority = Priority(r.Byte())
	}
	if flags&hasRunAt != 0 {
		t.RunAt = time.UnixMicro(r.Varint()).UTC()
	}
	if flags&hasExpiresAt != 0 {
		t.ExpiresAt = time.UnixMicro(r.Varint()).UTC()
	}
	if flags&hasTimeout != 0 {
		t.Timeout = time.Duration(r.Varint())
	}
	if flags&hasRetry != 0 {
		t.Retry = &RetryPolicy{
			Base:        time.Duration(r.Varint()),
			Factor:      math.Float64frombits(r.Uint64()),
			Max:         time.Duration(r.Varint()),
			MaxAttempts: int(r.Varint()),
		}
	}
	if flags&hasPlacement != 0 {
		t.Placement = Placement{Require: Selector(r.String()), Prefer: Selector(r.String())}
	}
	if err := r.End(); err != nil {
		return Task{}, fmt.Errorf("decode task %s: %w", t.ID, err)
	}
	return t, nil
}

func appendBytes[T string | []byte](b []byte, s T) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// AppendBytes appends s behind its length as a uvarint.
func AppendBytes[T string | []byte](b []byte, s T) []byte { return appendBytes(b, s) }

// Parser reads the primitive parts of stored formats. After the first read past
// the end it returns zeros, and End says so. What it returns shares the input.
type Parser struct {
	rest   []byte
	failed bool
}

// NewParser returns a parser over b.
func NewParser(b []byte) Parser { return Parser{rest: b} }

// End returns an error unless everything was read, and nothing past the end.
func (r *Parser) End() error {
	switch {
	case r.failed:
		return fmt.Errorf("%w: too short", ErrCorrupt)
	case len(r.rest) > 0:
		return fmt.Errorf("%w: %d bytes too many", ErrCorrupt, len(r.rest))
	}
	return nil
}

// Failed reports whether a read went past the end.
func (r *Parser) Failed() bool { return r.failed }

// Rest returns what was not read yet.
func (r *Parser) Rest() []byte { return r.rest }

func (r *Parser) fail() {
	r.failed = true
	r.rest = nil
}

// Byte reads one byte.
func (r *Parser) Byte() byte {
	if len(r.rest) < 1 {
		r.fail()
		return 0
	}
	c := r.rest[0]
	r.rest = r.rest[1:]
	return c
}

// Uint64 reads 8 bytes, little endian.
func (r *Parser) Uint64() uint64 {
	if len(r.rest) < 8 {
		r.fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return v
}

// Uvarint reads an unsigned varint.
func (r *Parser) Uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// Varint reads a signed varint.
func (r *Parser) Varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// ID reads 16 bytes.
func (r *Parser) ID() (id ID) {
	if len(r.rest) < len(id) {
		r.fail()
		return ID{}
	}
	copy(id[:], r.rest)
	r.rest = r.rest[len(id):]
	return id
}

// Bytes reads a length and as many bytes; none are nil.
func (r *Parser) Bytes() []byte {
	n := r.Uvarint()
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	if n == 0 {
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// String reads a length and as many bytes, without copying them.
func (r *Parser) String() string {
	b := r.Bytes()
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // the input must not change, so sharing it as a string is sound
}
