package idspace

import (
	"fmt"

	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/task"
)

// Space is a key space of the engine whose rows are filed under ids. Its keys are
// described in docs/formats/broker.md.
type Space byte

// Kinds of ids in a space, which are the second byte of a key.
const (
	Other byte = 0x00
	Timed byte = 0x07 // version 7 ids, which sort by their millisecond
)

// KeySize is the length of every key.
const KeySize = 1 + 1 + 16

// kindOf returns the kind that an id is filed under.
func kindOf(id *task.ID) byte {
	if id[6]>>4 == 7 {
		return Timed
	}
	return Other
}

// PutKey writes the key of an id into b, which has KeySize bytes.
func (s Space) PutKey(b []byte, id *task.ID) {
	_ = b[KeySize-1]
	b[0], b[1] = byte(s), kindOf(id)
	copy(b[2:], id[:])
}

// Key returns the key of an id.
func (s Space) Key(id *task.ID) []byte {
	b := make([]byte, KeySize)
	s.PutKey(b, id)
	return b
}

// ID returns the id in a key; ok is false for bytes that are not a key of the space.
func (s Space) ID(key []byte) (id task.ID, ok bool) {
	if len(key) != KeySize || key[0] != byte(s) {
		return id, false
	}
	copy(id[:], key[2:])
	return id, key[1] == kindOf(&id)
}

// Bounds returns the key range of all ids of a kind.
func (s Space) Bounds(kind byte) (lo, hi []byte) {
	return []byte{byte(s), kind}, []byte{byte(s), kind + 1}
}

// MillisKey returns the key below which all version 7 ids are older than ms.
func (s Space) MillisKey(ms uint64) []byte {
	return []byte{byte(s), Timed, byte(ms >> 40), byte(ms >> 32), byte(ms >> 24), byte(ms >> 16), byte(ms >> 8), byte(ms)}
}

// LatestMillis returns the millisecond behind all version 7 ids that have a row; 0
// where there is none.
func (s Space) LatestMillis(db *kv.DB) (uint64, error) {
	lo, hi := s.Bounds(Timed)
	it, err := db.Iter(lo, hi)
	if err != nil {
		return 0, fmt.Errorf("look for the latest id: %w", err)
	}
	var behind uint64
	if it.Last() {
		if id, ok := s.ID(it.Key()); ok {
			ms, _ := id.Millis()
			behind = ms + 1
		}
	}
	return behind, it.Close()
}
