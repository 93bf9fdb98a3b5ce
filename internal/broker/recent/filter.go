package recent

import "math/bits"

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
