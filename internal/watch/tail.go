package watch

import (
	"sync"

	"github.com/fenfa/fenfa/internal/store"
)

// Tail is the end of one partition's op log, as far as it is durable.
type Tail struct {
	most  int // rows
	bytes int // most bytes of values

	mu      sync.Mutex
	fence   store.Fence // of the last durable batch
	owned   bool
	watches map[*Watch]struct{}
	ring    []*store.OpLog // by number modulo its length; nil: nobody watches
	first   uint64         // number of the oldest row in the ring
	next    uint64         // number behind the newest one
	size    int            // bytes of values in the ring
}

func newTail(rows, bytes int) *Tail {
	return &Tail{most: rows, bytes: bytes, watches: make(map[*Watch]struct{})}
}

// Claimed says that this node owns the partition from now on, with what is durable
// of it.
func (t *Tail) Claimed(fence store.Fence) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.owned = true
	t.fence = fence
	t.forget()
	t.wake()
}

// Lost says that this node does not own the partition any more: others may write.
func (t *Tail) Lost() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.owned = false
}

// Durable takes a batch that has become durable. Batches come in their order, each
// before anybody is told of what it did.
func (t *Tail) Durable(b *store.Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fence = b.Next
	if b.Next.Seq == b.Prev.Seq || t.ring == nil {
		return
	}
	for _, row := range b.Puts {
		if r, ok := row.(*store.OpLog); ok {
			t.push(r)
		}
	}
	t.wake()
}

// push adds the next row, and drops old ones that have no room beside it.
func (t *Tail) push(r *store.OpLog) {
	if r.Seq != t.next { // It was not told of the rows between: they are in the log.
		t.drop(t.next)
		t.first, t.next = r.Seq, r.Seq
	}
	t.drop(t.next + 1 - min(t.next+1, uint64(len(t.ring))))
	t.ring[r.Seq%uint64(len(t.ring))] = r
	t.next++
	for t.size += len(r.Value); t.size > t.bytes && t.first < t.next; {
		t.drop(t.first + 1)
	}
}

// drop forgets the rows before the number.
func (t *Tail) drop(before uint64) {
	for ; t.first < min(before, t.next); t.first++ {
		at := t.first % uint64(len(t.ring))
		t.size -= len(t.ring[at].Value)
		t.ring[at] = nil
	}
}

// forget empties the ring.
func (t *Tail) forget() {
	clear(t.ring)
	t.size = 0
	t.first, t.next = t.fence.Seq+1, t.fence.Seq+1
}

// wake tells everybody that there is more to take.
func (t *Tail) wake() {
	for w := range t.watches {
		w.poke()
	}
}

func (t *Tail) attach(w *Watch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ring == nil {
		t.ring = make([]*store.OpLog, t.most)
		t.forget()
	}
	t.watches[w] = struct{}{}
}

// detach frees the ring when nobody watches any more.
func (t *Tail) detach(w *Watch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.watches, w)
	if len(t.watches) == 0 {
		t.ring = nil
		t.size = 0
	}
}

// Head returns the fence of what is durable, and whether this node owns the
// partition.
func (t *Tail) Head() (fence store.Fence, owned bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fence, t.owned
}

// take returns the wanted ones of at most so many rows after a number, and the
// number of the last row that it looked at. ok is false where the ring does not
// reach back that far.
func (t *Tail) take(after uint64, most int, want *filter) (rows []*store.OpLog, last uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if after >= t.fence.Seq {
		return nil, after, true
	}
	if after+1 < t.first || after+1 >= t.next {
		return nil, after, false
	}
	size := 0
	for last = after; last+1 < t.next && most > 0 && size < pageBytes; most-- {
		last++
		if r := t.ring[last%uint64(len(t.ring))]; want.match(r.Key, r.Name) {
			rows = append(rows, r)
			size += len(r.Value)
		}
	}
	return rows, last, true
}
