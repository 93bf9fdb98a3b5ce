package indexed

import (
	"github.com/fenfa/fenfa/internal/broker/idspace"
	"github.com/fenfa/fenfa/internal/kv"
)

// Keys are described in docs/formats/index.md.

// Kinds of rows in kv.SpaceIndexQueue.
const (
	queueByName byte = 'n'
	queueLast   byte = 'l' // the last number that was given to a queue
)

// idRows is where the rows of ids are.
const idRows = idspace.Space(kv.SpaceIndexID)

func queueKey(name string) []byte {
	return append([]byte{kv.SpaceIndexQueue, queueByName}, name...)
}

func lastNumberKey() []byte { return []byte{kv.SpaceIndexQueue, queueLast} }
