package rabbitmq

import (
	"slices"

	"github.com/fenfa/fenfa/internal/broker"
)

// window is what was received over one channel and is not acked, in the order of
// the tags, by which the server numbers the messages of a channel from 1 on.
type window struct {
	parcels []*parcel
	last    uint64 // tag of the last message
	acked   int    // parcels behind the first that the server was told of
	// scattered is how many are settled and not acked.
	scattered int
}

// push adds the next message of the channel.
func (w *window) push(p *parcel) {
	w.last++
	p.tag, p.acked = w.last, false
	w.parcels = append(w.parcels, p)
	if p.settled() {
		w.scattered++
	}
}

// settle says that the last task of a parcel in the window was settled.
func (w *window) settle() { w.scattered++ }

// acks returns what the server is to be told: everything up to multiple is
// settled, unless that is 0, and so are the others. Those out of turn are left for
// later unless all is true.
func (w *window) acks(all bool) (multiple uint64, others []uint64) {
	n := 0
	for n < len(w.parcels) && w.parcels[n].settled() {
		p := w.parcels[n]
		if p.acked {
			w.acked--
		} else {
			// A tag that was acked by itself must not be named again.
			multiple = p.tag
			p.acked = true
			w.scattered--
		}
		n++
	}
	clear(w.parcels[:n])
	if w.parcels = w.parcels[n:]; len(w.parcels) == 0 {
		w.parcels = nil
	}
	if !all || w.scattered == 0 {
		return multiple, nil
	}
	others = make([]uint64, 0, w.scattered)
	for _, p := range w.parcels {
		if p.settled() && !p.acked {
			p.acked = true
			others = append(others, p.tag)
		}
	}
	w.scattered = 0
	if w.acked += len(others); w.acked > len(w.parcels)/2 {
		// One parcel that is held for long must not keep those behind it in memory.
		w.parcels = slices.DeleteFunc(w.parcels, func(p *parcel) bool { return p.acked })
		w.acked = 0
	}
	return multiple, others
}

// register finds parcels by the positions of their tasks, in whose order it is.
type register struct {
	parcels []*parcel
	hint    int // where the last one was found
}

// add appends a parcel, whose positions are behind all others.
func (r *register) add(p *parcel) { r.parcels = append(r.parcels, p) }

// find returns the parcel with the task at a position, or nil.
func (r *register) find(position broker.Position) *parcel {
	if r.hint < len(r.parcels) && r.parcels[r.hint].has(position) {
		return r.parcels[r.hint]
	}
	at, _ := slices.BinarySearchFunc(r.parcels, position, func(p *parcel, position broker.Position) int {
		if p.first+broker.Position(p.tasks) <= position {
			return -1
		}
		return 1
	})
	if at == len(r.parcels) || !r.parcels[at].has(position) {
		return nil
	}
	r.hint = at
	return r.parcels[at]
}

func (p *parcel) has(position broker.Position) bool {
	return p.first <= position && position < p.first+broker.Position(p.tasks)
}

// keep forgets all parcels that do not meet the condition.
func (r *register) keep(condition func(p *parcel) bool) {
	r.parcels = slices.DeleteFunc(r.parcels, func(p *parcel) bool { return !condition(p) })
	r.hint = 0
}
