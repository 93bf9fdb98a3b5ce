package embedded

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/fenfa/fenfa/internal/task"
)

// recent remembers the version 7 ids that were accepted lately, so that a fresh
// id need not be looked for on the disk.
//
// It keeps two generations of a Bloom filter and a floor. Every accepted id at or
// above the floor is in one of the generations; when the young one is full, the
// old one is dropped and the floor rises above everything in it. So an id at or
// above the floor that neither generation has was certainly never accepted.
// About anything else recent knows nothing.
//
// It has no lock of its own.
type recent struct {
	floor    uint64 // Unix milliseconds
	young    generation
	old      generation
	capacity int
}

// newRecent returns a memory of ids whose millisecond is at least floor.
func newRecent(capacity int, floor uint64) *recent {
	return &recent{floor: floor, young: newGeneration(capacity), old: newGeneration(capacity), capacity: capacity}
}

// neverAccepted reports whether the id was certainly never accepted.
func (r *recent) neverAccepted(id *task.ID) bool {
	ms, ok := id.Millis()
	if !ok || ms < r.floor {
		return false
	}
	h := xxhash.Sum64(id[:])
	return !r.young.mayHave(h) && !r.old.mayHave(h)
}

// add remembers an accepted id.
func (r *recent) add(id *task.ID) {
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

// A generation is a blocked Bloom filter (Putze, Sanders and Singler, "Cache-,
// Hash- and Space-Efficient Bloom Filters", 2007): all bits of one id lie in one
// line of 512 bits, so that a test costs one cache miss.
type generation struct {
	lines  [][lineWords]uint64
	count  int
	newest uint64 // greatest millisecond
}

const (
	lineWords   = 8
	lineBits    = lineWords * 64
	bitsPerID   = 12
	probes      = 6
	hashSpread  = 0x9e3779b97f4a7c15 // odd; the golden ratio's bits
	probeBits   = 9                  // log2(lineBits)
	probeOffset = 64 - probeBits
)

func newGeneration(capacity int) generation {
	return generation{lines: make([][lineWords]uint64, capacity*bitsPerID/lineBits+1)}
}

func (g *generation) line(h uint64) *[lineWords]uint64 {
	hi, _ := bits.Mul64(h, uint64(len(g.lines)))
	return &g.lines[hi]
}

func (g *generation) add(h, ms uint64) {
	line := g.line(h)
	for range probes {
		h *= hashSpread
		bit := h >> probeOffset
		line[bit/64] |= 1 << (bit % 64)
	}
	g.count++
	g.newest = max(g.newest, ms)
}

func (g *generation) mayHave(h uint64) bool {
	line := g.line(h)
	for range probes {
		h *= hashSpread
		bit := h >> probeOffset
		if line[bit/64]&(1<<(bit%64)) == 0 {
			return false
		}
	}
	return true
}

func (g *generation) reset() {
	clear(g.lines)
	g.count, g.newest = 0, 0
}
