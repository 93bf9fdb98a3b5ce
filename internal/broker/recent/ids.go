package recent

import (
	"github.com/cespare/xxhash/v2"

	"github.com/fenfa/fenfa/internal/task"
)

// IDs remembers the version 7 ids that were accepted lately, so that a fresh id
// need not be looked for on the disk.
//
// It keeps two generations of a Bloom filter and a floor. Every accepted id at or
// above the floor is in one of the generations; when the young one is full, the
// old one is dropped and the floor rises above everything in it. So an id at or
// above the floor that neither generation has was certainly never accepted.
// About anything else IDs knows nothing.
//
// It has no lock of its own.
type IDs struct {
	floor    uint64 // Unix milliseconds
	young    generation
	old      generation
	capacity int
}

// New returns a memory of ids whose millisecond is at least floor. Capacity is the
// number of ids that one generation holds; both take 3 bytes for each of them.
func New(capacity int, floor uint64) *IDs {
	return &IDs{floor: floor, young: newGeneration(capacity), old: newGeneration(capacity), capacity: capacity}
}

// NeverAccepted reports whether the id was certainly never accepted.
func (r *IDs) NeverAccepted(id *task.ID) bool {
	ms, ok := id.Millis()
	if !ok || ms < r.floor {
		return false
	}
	h := xxhash.Sum64(id[:])
	return !r.young.mayHave(h) && !r.old.mayHave(h)
}

// Add remembers an accepted id.
func (r *IDs) Add(id *task.ID) {
	ms, ok := id.Millis()
	if !ok || ms < r.floor {
		return
	}
	if r.young.count >= r.capacity {
		if r.old.count > 0 {
			r.floor = max(r.floor, r.old.newest+1)
		}
		r.old, r.young = r.young, r.old
		r.young.reset()
		if ms < r.floor {
			return
		}
	}
	r.young.add(xxhash.Sum64(id[:]), ms)
}
