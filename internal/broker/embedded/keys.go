package embedded

import (
	"encoding/binary"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/idspace"
	"github.com/fenfa/fenfa/internal/kv"
)

// Keys are described in docs/formats/broker.md. Numbers in them are big endian,
// so that they sort.

// Kinds of rows in kv.SpaceBrokerQueue.
const (
	queueByName byte = 'n'
	queueLast   byte = 'l' // the last number that was given to a queue
)

// Kinds of rows in kv.SpaceBrokerState.
const (
	statePublished byte = 'p'
	stateSettled   byte = 's'
	stateReserved  byte = 'r'
)

// index is where the rows of ids are.
const index = idspace.Space(kv.SpaceBrokerIndex)

const (
	logKeySize   = 1 + 4 + 2 + 8
	stateKeySize = 1 + 4 + 2 + 1
)

func queueKey(name string) []byte {
	return append([]byte{kv.SpaceBrokerQueue, queueByName}, name...)
}

func lastNumberKey() []byte { return []byte{kv.SpaceBrokerQueue, queueLast} }

// putLogKey writes the key of a message into b.
func putLogKey(b []byte, queue uint32, part uint16, pos broker.Position) {
	_ = b[logKeySize-1]
	b[0] = kv.SpaceBrokerLog
	binary.BigEndian.PutUint32(b[1:], queue)
	binary.BigEndian.PutUint16(b[5:], part)
	binary.BigEndian.PutUint64(b[7:], uint64(pos))
}

func logKey(queue uint32, part uint16, pos broker.Position) []byte {
	b := make([]byte, logKeySize)
	putLogKey(b, queue, part, pos)
	return b
}

// logPosition returns the position in a key of the log; ok is false for bytes
// that are not one.
func logPosition(key []byte) (pos broker.Position, ok bool) {
	if len(key) != logKeySize || key[0] != kv.SpaceBrokerLog {
		return 0, false
	}
	return broker.Position(binary.BigEndian.Uint64(key[7:])), true
}

func putStateKey(b []byte, queue uint32, part uint16, kind byte) {
	_ = b[stateKeySize-1]
	b[0] = kv.SpaceBrokerState
	binary.BigEndian.PutUint32(b[1:], queue)
	binary.BigEndian.PutUint16(b[5:], part)
	b[7] = kind
}

func stateKey(queue uint32, part uint16, kind byte) []byte {
	b := make([]byte, stateKeySize)
	putStateKey(b, queue, part, kind)
	return b
}

// queueBounds returns the key range of everything that a queue has in a space.
func queueBounds(space byte, queue uint32) (lo, hi []byte) {
	lo = binary.BigEndian.AppendUint32([]byte{space}, queue)
	return lo, kv.PrefixEnd(lo)
}
