package rabbitmq

import (
	"math/bits"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
)

// identity tells one message from all others: the ID of its first task and the
// stamp of its publish.
type identity struct {
	id    [16]byte
	stamp uint64
}

// parcel is a message of the server that a reader has received and the server was
// not told to forget: one task or a pack of them. Its tasks have positions without
// a gap, and keep them when it comes again over another channel.
type parcel struct {
	identity identity
	first    broker.Position // of its first task
	tag      uint64          // over the channel of now; 0: it did not come over it
	sizes    []uint32        // bytes of each task
	tasks    int
	given    int // tasks that were handed out; those behind were not
	open     int // tasks that are not settled
	done     done
	begun    bool      // one of them was settled
	since    time.Time // then, or how long before it may have been so; zero: any time
	repeated bool      // it may have been settled before, not earlier than since
	acked    bool      // the server was told, over the channel of now
}

// newParcel returns a parcel of which the tasks in known were settled before.
func newParcel(who identity, first broker.Position, sizes []uint32, known done) *parcel {
	p := &parcel{identity: who, first: first, sizes: sizes, tasks: len(sizes), open: len(sizes), done: known}
	if known == nil {
		p.done = newDone(p.tasks)
		return p
	}
	p.open -= known.count()
	p.begun, p.repeated = true, true
	return p
}

// settle marks the task at a position that is within the parcel. It returns the
// task's bytes; ok is false when it was settled before, or was never handed out.
func (p *parcel) settle(position broker.Position, now time.Time) (size int, ok bool) {
	i := int(position - p.first)
	if i >= p.given || p.done.has(i) {
		return 0, false
	}
	p.done.set(i)
	if !p.begun && !p.repeated {
		p.since = now
	}
	p.begun = true
	p.open--
	return int(p.sizes[i]), true
}

// settled reports whether all tasks are.
func (p *parcel) settled() bool { return p.open == 0 }

// done is a set of tasks of a parcel, one bit for each.
type done []uint64

const wordBits = 64

func newDone(tasks int) done { return make(done, (tasks+wordBits-1)/wordBits) }

func (d done) has(i int) bool { return d[i/wordBits]>>(i%wordBits)&1 != 0 }
func (d done) set(i int)      { d[i/wordBits] |= 1 << (i % wordBits) }

func (d done) count() int {
	n := 0
	for _, word := range d {
		n += bits.OnesCount64(word)
	}
	return n
}

// fits reports whether d can be a set of tasks of a parcel of so many.
func (d done) fits(tasks int) bool {
	if len(d) != len(newDone(tasks)) {
		return false
	}
	rest := tasks % wordBits
	return rest == 0 || d[len(d)-1]>>rest == 0
}
