package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// A string within a key ends with 00 01, and a zero byte inside it is written
// as 00 ff. So a string sorts before all that it is a prefix of, and what
// follows the string in the key does not matter to that. Where a string ends with
// 00 02 instead, another one follows that is left out when it is empty.
const (
	escape     = 0x00
	terminator = 0x01
	joint      = 0x02
	zero       = 0xff
)

// sign turns two's complement into an order-preserving unsigned number.
const sign = 1 << 63

func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] == escape {
			return appendEscaped(append(b, s[:i]...), s[i:])
		}
	}
	b = append(b, s...)
	return append(b, escape, terminator)
}

func appendEscaped(b []byte, s string) []byte {
	for i := range len(s) {
		b = append(b, s[i])
		if s[i] == escape {
			b = append(b, zero)
		}
	}
	return append(b, escape, terminator)
}

// appendPair appends two strings of which the second one is mostly empty.
func appendPair(b []byte, s, seldom string) []byte {
	b = appendString(b, s)
	if seldom == "" {
		return b
	}
	b[len(b)-1] = joint
	return appendString(b, seldom)
}

func appendUint64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

func appendTime(b []byte, t time.Time) []byte {
	return appendUint64(b, uint64(t.UnixMicro())^sign)
}

// keyParser reads the parts of a key. After the first failure it returns
// zeros, and end says so.
type keyParser struct {
	rest   []byte
	failed bool
}

func (p *keyParser) fail() {
	p.failed = true
	p.rest = nil
}

func (p *keyParser) end() error {
	switch {
	case p.failed:
		return fmt.Errorf("%w: too short, or badly escaped", task.ErrCorrupt)
	case len(p.rest) > 0:
		return fmt.Errorf("%w: %d bytes too many", task.ErrCorrupt, len(p.rest))
	}
	return nil
}

func (p *keyParser) uint64() uint64 {
	if len(p.rest) < 8 {
		p.fail()
		return 0
	}
	v := binary.BigEndian.Uint64(p.rest)
	p.rest = p.rest[8:]
	return v
}

func (p *keyParser) time() time.Time {
	return time.UnixMicro(int64(p.uint64() ^ sign)).UTC()
}

func (p *keyParser) id() (id task.ID) {
	if len(p.rest) < len(id) {
		p.fail()
		return id
	}
	copy(id[:], p.rest)
	p.rest = p.rest[len(id):]
	return id
}

func (p *keyParser) string() string {
	s, end := p.until()
	if end != terminator {
		p.fail()
	}
	return s
}

// pair reads what appendPair wrote.
func (p *keyParser) pair() (s, seldom string) {
	s, end := p.until()
	if end != joint {
		return s, ""
	}
	if seldom = p.string(); seldom == "" {
		p.fail()
	}
	return s, seldom
}

// until reads a string and returns the byte that says how it ended.
func (p *keyParser) until() (s string, end byte) {
	var unescaped []byte
	for {
		i := bytes.IndexByte(p.rest, escape)
		if i < 0 || i+1 >= len(p.rest) {
			p.fail()
			return "", 0
		}
		part, mark := p.rest[:i], p.rest[i+1]
		p.rest = p.rest[i+2:]
		switch mark {
		case zero:
			unescaped = append(append(unescaped, part...), 0)
		case terminator, joint:
			return string(append(unescaped, part...)), mark
		default:
			p.fail()
			return "", 0
		}
	}
}
