package rabbitmq

import "github.com/fenfa/fenfa/internal/broker"

// States of a message in a window.
const (
	isWaiting = iota // not handed out
	isGiven          // handed out, not settled
	isSettled        // settled, and the server was not told
	isAcked          // the server was told
)

// identity tells one message from all others: the task's ID and the stamp of its
// publish.
type identity struct {
	id    [16]byte
	stamp uint64
}

// entry is a message that was received.
type entry struct {
	identity identity
	size     uint32
	state    uint8
	held     *held // set when it was handed out over an earlier channel
}

// window is what was received over one channel and is not acked. The server
// numbers the messages of a channel from 1 on without a gap: these are its tags.
type window struct {
	base    uint64 // tag of the first entry; all below are acked
	entries []entry
	off     int // entries in entries[off:]
	// scattered is how many are settled behind the first that is not.
	scattered int
}

func newWindow() window { return window{base: 1} }

// end is the tag behind the last entry.
func (w *window) end() uint64 { return w.base + uint64(len(w.entries)-w.off) }

// push adds the next message and returns its tag.
func (w *window) push(e entry) uint64 {
	w.entries = append(w.entries, e)
	return w.end() - 1
}

// at returns the entry of a tag, or nil when it is not in the window.
func (w *window) at(tag uint64) *entry {
	if tag < w.base || tag >= w.end() {
		return nil
	}
	return &w.entries[w.off+int(tag-w.base)]
}

// settle marks an entry that is in the window.
func (w *window) settle(e *entry) {
	e.state = isSettled
	w.scattered++
}

// acks returns what the server is to be told: everything up to multiple is
// settled, unless that is 0, and so are the others. Those out of turn are left for
// later unless all is true.
func (w *window) acks(all bool) (multiple uint64, others []uint64) {
	for w.off < len(w.entries) && w.entries[w.off].state >= isSettled {
		if w.entries[w.off].state == isSettled {
			// A tag that was acked by itself must not be named again.
			multiple = w.base
			w.scattered--
		}
		w.entries[w.off] = entry{}
		w.off++
		w.base++
	}
	w.shrink()
	if !all || w.scattered == 0 {
		return multiple, nil
	}
	others = make([]uint64, 0, w.scattered)
	for i := w.off; i < len(w.entries); i++ {
		if e := &w.entries[i]; e.state == isSettled {
			e.state = isAcked
			others = append(others, w.base+uint64(i-w.off))
		}
	}
	w.scattered = 0
	return multiple, others
}

// shrink gives room back that entries left behind.
func (w *window) shrink() {
	const slack = 1024
	if w.off == len(w.entries) {
		w.entries, w.off = w.entries[:0], 0
	} else if w.off > slack && w.off > len(w.entries)/2 {
		n := copy(w.entries, w.entries[w.off:])
		clear(w.entries[n:])
		w.entries, w.off = w.entries[:n], 0
	}
}

// held is a message that was handed out over a channel that is gone: it keeps its
// position until the server was told that it is settled.
type held struct {
	position broker.Position
	identity identity
	size     uint32
	settled  bool
	tag      uint64 // over the channel of now; 0: it did not come again yet
}
