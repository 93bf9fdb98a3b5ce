package rabbitmq

// window is what was received over one channel and is not acked. The server
// numbers the messages of a channel from 1 on without a gap: these are the tags.
type window struct {
	base    uint64 // tag of states[0]; all below are acked
	states  []state
	settled int // that the server was not told of
}

type state uint8

const (
	isOpen    state = iota
	isSettled       // the server was not told
	isTold          // acked or rejected by itself
)

func newWindow() *window { return &window{base: 1} }

// received adds the next tag.
func (w *window) received() { w.states = append(w.states, isOpen) }

// settle marks a tag whose message is dealt with.
func (w *window) settle(tag uint64) {
	w.states[tag-w.base] = isSettled
	w.settled++
}

// told marks a tag that the server was told of by itself.
func (w *window) told(tag uint64) { w.states[tag-w.base] = isTold }

// acks returns what is to be acked: all up to multiple, unless that is 0, and the
// others one by one. Those others, which are behind a message that is open, are left
// for later unless there are at least so many.
func (w *window) acks(scattered int) (multiple uint64, others []uint64) {
	done := 0
	for done < len(w.states) && w.states[done] != isOpen {
		if w.states[done] == isSettled {
			// A tag that was acked by itself must not be named again.
			multiple = w.base + uint64(done)
			w.settled--
		}
		done++
	}
	w.states = w.states[:copy(w.states, w.states[done:])]
	w.base += uint64(done)
	if w.settled == 0 || w.settled < scattered {
		return multiple, nil
	}
	for i, s := range w.states {
		if s == isSettled {
			w.states[i] = isTold
			others = append(others, w.base+uint64(i))
		}
	}
	w.settled = 0
	return multiple, others
}
