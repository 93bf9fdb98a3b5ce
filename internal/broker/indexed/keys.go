package indexed

import (
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/task"
)

// Keys are described in docs/formats/index.md.

// Kinds of rows in kv.SpaceIndexQueue.
const (
	queueByName byte = 'n'
	queueLast   byte = 'l' // the last number that was given to a queue
)

// Kinds of ids in kv.SpaceIndexID: version 7 ids sort by their millisecond.
const (
	idOther   byte = 0x00
	idVersion byte = 0x07
)

const idKeySize = 1 + 1 + 16

func queueKey(name string) []byte {
	return append([]byte{kv.SpaceIndexQueue, queueByName}, name...)
}

func lastNumberKey() []byte { return []byte{kv.SpaceIndexQueue, queueLast} }

// kindOf returns the kind that an id is filed under.
func kindOf(id *task.ID) byte {
	if id[6]>>4 == 7 {
		return idVersion
	}
	return idOther
}

// putIDKey writes the key of an id into b.
func putIDKey(b []byte, id *task.ID) {
	_ = b[idKeySize-1]
	b[0], b[1] = kv.SpaceIndexID, kindOf(id)
	copy(b[2:], id[:])
}

func idKey(id *task.ID) []byte {
	b := make([]byte, idKeySize)
	putIDKey(b, id)
	return b
}

// keyID returns the id in a key; ok is false for bytes that are not one.
func keyID(key []byte) (id task.ID, ok bool) {
	if len(key) != idKeySize || key[0] != kv.SpaceIndexID {
		return id, false
	}
	copy(id[:], key[2:])
	return id, key[1] == kindOf(&id)
}

// idBounds returns the key range of all ids of a kind.
func idBounds(kind byte) (lo, hi []byte) {
	return []byte{kv.SpaceIndexID, kind}, []byte{kv.SpaceIndexID, kind + 1}
}

// millisKey returns the key below which all version 7 ids are older than ms.
func millisKey(ms uint64) []byte {
	lo, _ := idBounds(idVersion)
	return append(lo, byte(ms>>40), byte(ms>>32), byte(ms>>24), byte(ms>>16), byte(ms>>8), byte(ms))
}
