package embedded

import (
	"bytes"
	"slices"
	"sync/atomic"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// publication is one call of Publish under way. It is pooled, unless another
// publication waits for it.
type publication struct {
	broker  *Broker
	items   []item  // one for each message of the call
	byID    []int32 // indices of items, in the order of ids
	touched []touch // the logs that get something
	written int     // items that were handed to kv

	// backdated says that an id lies where the sweeper may look.
	backdated bool
	// finished is made by another publication that waits for this one, and closed
	// when the claims are released; under Broker.order. err is set before.
	finished chan struct{}
	err      error

	result chan error // from kv to Publish
	state  atomic.Int32
	done   func(error) // onDone, bound once
}

// States of a publication: Publish waits, kv is through, or Publish gave up.
const (
	publishWaits int32 = iota
	publishDone
	publishGaveUp
)

// verdict is what is known about a message.
type verdict uint8

const (
	verdictNew     verdict = iota // to be written, or written
	verdictUnsure                 // claimed; the index must be asked
	verdictKnown                  // the index has its id, with the fingerprint in item.other
	verdictWaits                  // another publication, or an earlier item of this one, claims its id
	verdictRefused                // item.err says why
)

// item is one message of a publication.
type item struct {
	log         *log
	id          task.ID
	fingerprint uint64
	body        []byte
	owed        bool
	verdict     verdict
	other       uint64
	first       claim // verdictWaits: what it waits for
	err         error
	pos         broker.Position
	next        int32 // the next item of the same log, or -1
}

// claim says who deals with an id until it is durable or refused.
type claim struct {
	publication *publication
	item        int32
}

// touch is a log that a publication writes to, and its first and last item.
type touch struct {
	log         *log
	first, last int32
}

func newPublication(b *Broker) *publication {
	p := &publication{broker: b, result: make(chan error, 1)}
	p.done = p.onDone
	return p
}

// recycle puts the publication back into the pool; nobody else may know it.
func (p *publication) recycle() {
	const most = 64 << 10 // items; a larger one is left to the collector
	if p.finished != nil || cap(p.items) > most {
		return
	}
	clear(p.items)
	p.items, p.byID, p.touched = p.items[:0], p.byID[:0], p.touched[:0]
	p.written, p.backdated, p.err = 0, false, nil
	p.state.Store(publishWaits)
	p.broker.pool.Put(p)
}

// sort orders the items by their ids.
func (p *publication) sort() {
	for i := range p.items {
		p.byID = append(p.byID, int32(i))
	}
	slices.SortFunc(p.byID, func(a, b int32) int { return bytes.Compare(p.items[a].id[:], p.items[b].id[:]) })
}

// onDone runs on the completion goroutine of kv.
func (p *publication) onDone(err error) {
	if err == nil {
		for _, t := range p.touched {
			t.log.extend(p, t.first)
		}
	}
	if p.state.CompareAndSwap(publishWaits, publishDone) {
		p.result <- err
		return
	}
	p.broker.release(p, err)
}

// answer says what a later publish of the item's id with the given fingerprint is
// told; the claims are released.
func (p *publication) answer(i int32, fingerprint uint64) error {
	if p.err != nil {
		return p.err
	}
	it := &p.items[i]
	switch it.verdict {
	case verdictRefused:
		return it.err
	case verdictKnown:
		return compare(it.other, fingerprint)
	default:
		return compare(it.fingerprint, fingerprint)
	}
}

// compare tells a repeat from another task under the same id.
func compare(stored, repeated uint64) error {
	if stored == repeated {
		return broker.ErrDuplicate
	}
	return broker.ErrMismatch
}
