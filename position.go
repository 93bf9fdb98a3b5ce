package fenfa

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Position is how far a watch is, in each of its partitions. A watch that begins
// there tells what follows. The zero Position is none.
type Position struct {
	parts map[int]place // never changed once others have it
}

// place is a position in one partition.
type place struct {
	seq       uint64
	reading   bool // the records as they are have been told up to key and name only
	key, name string
}

// PositionAt returns the position after the given number of the op log in each
// partition.
func PositionAt(seqs map[int]uint64) Position {
	p := Position{parts: make(map[int]place, len(seqs))}
	for part, seq := range seqs {
		p.parts[part] = place{seq: seq}
	}
	return p
}

// IsZero reports whether it is no position.
func (p Position) IsZero() bool { return len(p.parts) == 0 }

// Seq returns the number of the op log that the position is after in a partition,
// and whether it knows of the partition.
func (p Position) Seq(partition int) (seq uint64, ok bool) {
	at, ok := p.parts[partition]
	return at.seq, ok
}

// String is the position as text, which ParsePosition reads: partitions and
// numbers like "0:153,1:22".
func (p Position) String() string {
	var b strings.Builder
	for i, part := range slices.Sorted(maps.Keys(p.parts)) {
		if i > 0 {
			b.WriteByte(',')
		}
		at := p.parts[part]
		b.WriteString(strconv.Itoa(part) + ":" + strconv.FormatUint(at.seq, 10))
		if at.reading {
			b.WriteString("+" + base64.RawURLEncoding.EncodeToString([]byte(at.key)) + "." + base64.RawURLEncoding.EncodeToString([]byte(at.name)))
		}
	}
	return b.String()
}

// ParsePosition reads what String has written. The empty text is the zero
// Position.
func ParsePosition(text string) (Position, error) {
	p := Position{}
	if text == "" {
		return p, nil
	}
	p.parts = make(map[int]place)
	for item := range strings.SplitSeq(text, ",") {
		part, at, ok := parsePlace(item)
		_, twice := p.parts[part]
		if !ok || twice {
			return Position{}, errorf(CodeInvalidArgument,
				"%q in a position: want each partition once, with its number, like 0:153,1:22", clip(item, 80)).withField("from")
		}
		p.parts[part] = at
	}
	return p, nil
}

func parsePlace(item string) (part int, at place, ok bool) {
	head, rest, reading := strings.Cut(item, "+")
	left, right, ok := strings.Cut(head, ":")
	number, err := strconv.ParseUint(left, 10, 16)
	if !ok || err != nil {
		return 0, place{}, false
	}
	if at.seq, err = strconv.ParseUint(right, 10, 64); err != nil {
		return 0, place{}, false
	}
	if at.reading = reading; reading {
		key, name, _ := strings.Cut(rest, ".")
		k, keyErr := base64.RawURLEncoding.DecodeString(key)
		n, nameErr := base64.RawURLEncoding.DecodeString(name)
		if keyErr != nil || nameErr != nil {
			return 0, place{}, false
		}
		at.key, at.name = string(k), string(n)
	}
	return int(number), at, true
}

// clone returns a copy that nobody else changes.
func (p Position) clone() Position { return Position{parts: maps.Clone(p.parts)} }

func (p Position) toWire() []*fenfav1.WatchPosition {
	wire := make([]*fenfav1.WatchPosition, 0, len(p.parts))
	for part, at := range p.parts {
		wire = append(wire, &fenfav1.WatchPosition{
			Partition: clampUint32(part), Seq: at.seq, Reading: at.reading, AfterKey: at.key, AfterName: at.name,
		})
	}
	return wire
}

func placeOf(p *fenfav1.WatchPosition) place {
	return place{seq: p.GetSeq(), reading: p.GetReading(), key: p.GetAfterKey(), name: p.GetAfterName()}
}
