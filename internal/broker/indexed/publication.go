package indexed

import (
	"bytes"
	"slices"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// publication is one call of Publish, from its claims until the rows of what was
// taken are durable. It is pooled.
type publication struct {
	broker *Broker
	items  []item  // one for each message of the call
	byID   []int32 // indices of items that get rows, in the order of ids
	at     int64   // Unix microseconds of the confirm

	// Under Broker.order.
	answered bool          // it is known what became of the items; else a publish of one of them waits
	finished chan struct{} // made by one that waits; closed when answered, or when the claims are gone

	done func(error) // onDurable, bound once
}

// verdict is what is known about a message.
type verdict uint8

const (
	verdictNew     verdict = iota // to be published, or published
	verdictFree                   // of a queue that the index does not know: published and not remembered
	verdictUnsure                 // claimed; its row must be looked for
	verdictKnown                  // was published before, with the fingerprint in item.other
	verdictAgain                  // an earlier item of the same call has its id
	verdictRefused                // item.err says why
)

// item is one message of a publication.
type item struct {
	id          task.ID
	fingerprint uint64
	other       uint64
	queue       *queue // nil: not known to the index
	err         error
	first       int32 // verdictAgain: the earlier item
	part        uint16
	verdict     verdict
	rewrites    bool // its id has an expired row
}

// claim says who deals with an id.
type claim struct {
	publication *publication
	item        int32
}

func newPublication(b *Broker) *publication {
	p := &publication{broker: b}
	p.done = p.onDurable
	return p
}

// recycle puts the publication back into the pool; it has no claims.
func (p *publication) recycle() {
	const most = 64 << 10 // items; a larger one is left to the collector
	if cap(p.items) > most {
		return
	}
	clear(p.items)
	p.items, p.byID, p.answered, p.finished = p.items[:0], p.byID[:0], false, nil
	p.broker.pool.Put(p)
}

// toPublish returns how many messages of the call are for the broker below.
func (p *publication) toPublish() int {
	n := 0
	for i := range p.items {
		if p.items[i].publishes() {
			n++
		}
	}
	return n
}

// publishes reports whether the message is for the broker below.
func (it *item) publishes() bool { return it.verdict == verdictNew || it.verdict == verdictFree }

// claimed reports whether the item has a claim until its row is durable.
func (it *item) claimed() bool { return it.verdict == verdictNew && it.err == nil }

func (it *item) refuse(err error) { it.verdict, it.err = verdictRefused, err }

// over returns a channel that is closed when it is known what became of the items;
// Broker.order is held.
func (p *publication) over() <-chan struct{} {
	if p.finished == nil {
		p.finished = make(chan struct{})
	}
	return p.finished
}

// wake wakes those who wait; Broker.order is held.
func (p *publication) wake() {
	if p.finished != nil {
		close(p.finished)
		p.finished = nil
	}
}

// refuseNew refuses what is for the broker below, but for what is owed.
func (p *publication) refuseNew(batch []broker.Message, err error) {
	for i := range p.items {
		if it := &p.items[i]; it.publishes() && !batch[i].Owed {
			it.refuse(err)
		}
	}
}

// sort lists the items that get rows in the order of their ids: neighbours in the
// key space stand together, which spares the engine most of its search.
func (p *publication) sort() {
	for i := range p.items {
		if p.items[i].claimed() {
			p.byID = append(p.byID, int32(i))
		}
	}
	slices.SortFunc(p.byID, func(a, b int32) int { return bytes.Compare(p.items[a].id[:], p.items[b].id[:]) })
}

// answer makes what Publish returns of the verdicts.
func (p *publication) answer() error {
	var failed map[int]error
	known := 0
	for i := range p.items {
		it := &p.items[i]
		err := it.err
		switch it.verdict {
		case verdictKnown:
			err = compare(it.other, it.fingerprint)
			known++
		case verdictAgain:
			err = p.items[it.first].again(it.fingerprint)
			known++
		case verdictNew, verdictFree, verdictUnsure, verdictRefused:
		}
		if err == nil {
			continue
		}
		if failed == nil {
			failed = make(map[int]error)
		}
		failed[i] = err
	}
	if failed == nil {
		return nil
	}
	p.broker.metrics.known.Add(float64(known))
	return &broker.PublishError{Failed: failed}
}

// again is the answer to a later message of the call with the item's id.
func (it *item) again(fingerprint uint64) error {
	switch {
	case it.verdict == verdictKnown:
		return compare(it.other, fingerprint)
	case it.err != nil:
		return it.err
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
