package fenfa

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"
)

// ID identifies a task for its whole life: a UUID as RFC 9562 defines it.
// NewID makes version 7, which sorts by time; DeriveID makes version 8. Any
// other UUID that a caller brings is accepted too. The zero ID is no task's.
type ID [16]byte

// idTextLen is the length of the canonical text form.
const idTextLen = 36

// NewID returns a version 7 UUID for this moment, with 74 random bits.
func NewID() ID {
	var id ID
	ms := uint64(time.Now().UnixMilli())
	binary.BigEndian.PutUint64(id[:8], ms<<16|rand.Uint64()>>48)
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}

// DeriveID returns the version 8 UUID that the given parts always name: the
// first 16 bytes of the SHA-256 of the parts, each behind its length in 8 bytes,
// big endian. A task submitted under a derived ID can be submitted again without
// effect, also by another process.
func DeriveID(parts ...string) ID {
	var stack [256]byte
	b := stack[:0]
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	var id ID
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// ParseID reads the canonical text form: 36 characters, hexadecimal in groups of
// 8-4-4-4-12, in either case. It fails with CodeInvalidArgument.
func ParseID(s string) (ID, error) {
	id, ok := parseID(s)
	if !ok {
		return ID{}, errorf(CodeInvalidArgument,
			"task id %q is not a UUID: want 36 characters like 0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01", clip(s, 64)).withField("id")
	}
	return id, nil
}

func parseID(s string) (id ID, ok bool) {
	if len(s) != idTextLen || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, false
	}
	var compact [32]byte
	copy(compact[0:8], s[0:8])
	copy(compact[8:12], s[9:13])
	copy(compact[12:16], s[14:18])
	copy(compact[16:20], s[19:23])
	copy(compact[20:32], s[24:36])
	if _, err := hex.Decode(id[:], compact[:]); err != nil {
		return ID{}, false
	}
	return id, true
}

// String returns the canonical text form, in lower case.
func (id ID) String() string {
	var b [idTextLen]byte
	hex.Encode(b[0:8], id[0:4])
	b[8] = '-'
	hex.Encode(b[9:13], id[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], id[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], id[8:10])
	b[23] = '-'
	hex.Encode(b[24:36], id[10:16])
	return string(b[:])
}

// IsZero reports whether the ID is unset.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}
