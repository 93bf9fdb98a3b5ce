package task

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"
)

// ID identifies a task for its whole life: a UUID as RFC 9562 defines it.
//
// IDs that fenfa generates are version 7, so they sort by the millisecond in
// which they were made; IDs derived from a caller's own names are version 8.
// Any other UUID that a caller brings is accepted too.
type ID [16]byte

// NewID returns a version 7 UUID for the moment now, with 74 random bits.
func NewID(now time.Time) ID {
	var id ID
	ms := uint64(now.UnixMilli())
	binary.BigEndian.PutUint64(id[:8], ms<<16|rand.Uint64()&0xffff)
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}

// DeriveID returns the version 8 UUID that the given parts always name: the
// first 16 bytes of the SHA-256 of the parts, each preceded by its length.
// Submitting under a derived ID makes a repeated submit a no-op.
func DeriveID(parts ...string) ID {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	var id ID
	copy(id[:], h.Sum(nil))
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// ParseID reads the canonical text form: 36 characters, hexadecimal in groups
// of 8-4-4-4-12, in either case.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, Errorf(CodeInvalidArgument, "task id %q is not a UUID: want 36 characters like 0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01", clip(s, 64))
	}
	var compact [32]byte
	copy(compact[0:8], s[0:8])
	copy(compact[8:12], s[9:13])
	copy(compact[12:16], s[14:18])
	copy(compact[16:20], s[19:23])
	copy(compact[20:32], s[24:36])
	if _, err := hex.Decode(id[:], compact[:]); err != nil {
		return ID{}, Errorf(CodeInvalidArgument, "task id %q is not a UUID: %v", clip(s, 64), err)
	}
	return id, nil
}

// String returns the canonical text form, in lower case.
func (id ID) String() string {
	var b [36]byte
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

// Millis returns the Unix millisecond inside a version 7 ID, and false for any
// other version.
func (id ID) Millis() (uint64, bool) {
	if id[6]>>4 != 7 {
		return 0, false
	}
	return binary.BigEndian.Uint64(id[:8]) >> 16, true
}

// Compare orders IDs bytewise.
func (id ID) Compare(other ID) int {
	for i := range id {
		if id[i] != other[i] {
			if id[i] < other[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(b []byte) error {
	parsed, err := ParseID(string(b))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s… (%d bytes)", s[:most], len(s))
}
