package rabbitmq

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fenfa/fenfa/internal/task"
)

// A pack is a message with several tasks, those of one publish call for one log:
// a message costs the server, and both sides of the connection, far more than the
// bytes in it. docs/formats/rabbitmq.md describes the bytes.

// packType is the AMQP type of a pack; a message of one task has none.
const packType = "fenfa.pack"

const (
	packVersion   = 1
	packHeader    = 1 + 2  // version and number of tasks
	packEntry     = 16 + 4 // ID and length of a task
	maxPackTasks  = 256
	leastInPack   = 2
	maxPackBytes  = frameSize - 1<<10 // so that a pack goes in one frame
	packLengthAt  = 16                // in an entry
	packCountAt   = 1
	packVersionAt = 0
)

// errNotAPack says that the bytes of a message are no pack that this version reads.
var errNotAPack = errors.New("the message is no pack of tasks that this fenfa reads")

// packSize is how many bytes a pack of so many tasks has, with bodies of so many
// bytes in all.
func packSize(tasks, bytes int) int { return packHeader + tasks*packEntry + bytes }

// packWriter fills in a pack.
type packWriter struct {
	bytes []byte
	tasks int
}

func newPackWriter(tasks, bytes int) packWriter {
	b := make([]byte, packHeader+tasks*packEntry, packSize(tasks, bytes))
	b[packVersionAt] = packVersion
	binary.LittleEndian.PutUint16(b[packCountAt:], uint16(tasks))
	return packWriter{bytes: b}
}

// add appends the next task.
func (w *packWriter) add(id *task.ID, body []byte) {
	entry := w.bytes[packHeader+w.tasks*packEntry:]
	copy(entry, id[:])
	binary.LittleEndian.PutUint32(entry[packLengthAt:], uint32(len(body)))
	w.bytes = append(w.bytes, body...)
	w.tasks++
}

// packReader gives the tasks of a pack, one after another.
type packReader struct {
	bytes []byte // of the whole pack; nil: there is none
	next  int    // task
	at    int    // where its body begins
}

// readPack checks a pack as a whole and returns the sizes of its tasks.
func readPack(b []byte) (r packReader, sizes []uint32, err error) {
	if len(b) < packHeader || b[packVersionAt] != packVersion {
		return r, nil, fmt.Errorf("%w: %d bytes of another version", errNotAPack, len(b))
	}
	tasks := int(binary.LittleEndian.Uint16(b[packCountAt:]))
	r = packReader{bytes: b, at: packSize(tasks, 0)}
	if tasks == 0 || len(b) < r.at {
		return packReader{}, nil, fmt.Errorf("%w: %d bytes for %d tasks", errNotAPack, len(b), tasks)
	}
	sizes = make([]uint32, tasks)
	end := r.at
	for i := range sizes {
		sizes[i] = uint32(r.length(i))
		end += r.length(i)
	}
	if end != len(b) {
		return packReader{}, nil, fmt.Errorf("%w: %d bytes, and it speaks of %d", errNotAPack, len(b), end)
	}
	return r, sizes, nil
}

func (r *packReader) length(i int) int {
	return int(binary.LittleEndian.Uint32(r.bytes[packHeader+i*packEntry+packLengthAt:]))
}

// take returns the next task.
func (r *packReader) take() (id task.ID, body []byte) {
	entry := packHeader + r.next*packEntry
	copy(id[:], r.bytes[entry:entry+packLengthAt])
	end := r.at + r.length(r.next)
	body = r.bytes[r.at:end:end]
	r.next, r.at = r.next+1, end
	return id, body
}

// skip passes the next task over.
func (r *packReader) skip() {
	r.at += r.length(r.next)
	r.next++
}
