package balance

import (
	"math"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// consistentHash gives every key a ranking of all workers by weighted rendezvous
// hashing (Thaler and Ravishankar, 1998; weights after Schindelhauer and
// Schomaker, 2005): worker i draws -ln(1-v)/weight, with v uniform and fixed by
// key and worker, and the least draw is first. When a worker leaves only its own
// keys move, each to the next in its ranking; when one joins, keys move only to
// it; and when a weight changes, only to or from its worker.
//
// With overflow "next" a task goes to the first worker of the ranking that has a
// real free slot and stays within bound times its share of everything in flight
// (Mirrokni, Thorup and Zadimoghaddam, 2018). When all that stay within it are
// full, the bound yields to the first with a real slot, so that no slot is idle
// while a task waits. Prefetch comes last, in the same two steps: a task that
// waits behind others at its own worker would start later than one that overflows.
//
// With overflow "wait" a task waits for the first worker of its ranking until
// that has a free slot, real or prefetch, and the bound does not count.
//
// Tasks without a key have no ranking and go to the least loaded worker.
type consistentHash struct {
	bound   float64
	wait    bool
	keyless leastInflight

	version uint64 // of the pool of which tickets are made
	tickets []ticket
	weight  float64 // sum over the pool
}

// ticket is what a pick reads of every worker, side by side in memory.
type ticket struct {
	hash   uint64
	most   uint64 // mixed hashes above it draw more than the least draw of a key usually is
	weight float64
}

// usual is what the least draw of a key is below for 95% of the keys, as a
// multiple of its mean: the least of all draws is exponential, with the sum of the
// weights as its rate. Looking below it first spares most of the work.
const usual = 3

// Pick implements Picker.
func (c *consistentHash) Pick(p *Pool, key string) (int, bool) {
	if key == "" {
		return c.keyless.Pick(p, key)
	}
	if c.version != p.version {
		c.build(p)
	}
	h := xxhash.Sum64String(key)
	if c.wait {
		i := c.home(h)
		return i, i >= 0 && p.workers[i].Free > 0
	}
	i := c.next(p, h)
	return i, i >= 0
}

// build makes the tickets anew.
func (c *consistentHash) build(p *Pool) {
	c.weight = 0
	for _, w := range p.weights {
		c.weight += w
	}
	c.tickets = slices.Grow(c.tickets[:0], len(p.workers))
	for i, w := range p.workers {
		most := uint64(math.MaxUint64)
		// -ln(1-v) is never below v, so a v above the usual draw times the weight
		// cannot draw less.
		if v := usual * p.weights[i] / c.weight; v < 1 {
			most = uint64(v * (1 << 63) * 2)
		}
		c.tickets = append(c.tickets, ticket{hash: w.Hash, most: most, weight: p.weights[i]})
	}
	c.version = p.version
}

// home returns the first worker of the key's ranking, or -1 in an empty pool.
func (c *consistentHash) home(key uint64) int {
	best, least, tickets := -1, usual/c.weight, c.tickets
	for i := range tickets {
		t := &tickets[i]
		x := mix(key, t.hash)
		if x > t.most {
			continue
		}
		if v := fraction(x); v < least*t.weight {
			if d := exponential(v) / t.weight; d < least {
				best, least = i, d
			}
		}
	}
	if best >= 0 {
		return best
	}
	least = math.Inf(1)
	for i := range tickets {
		t := &tickets[i]
		if v := fraction(mix(key, t.hash)); v < least*t.weight {
			if d := exponential(v) / t.weight; d < least {
				best, least = i, d
			}
		}
	}
	return best
}

// Classes of workers for a task that may overflow, the best one first.
const (
	within = iota // a real slot, within the bound
	beyond        // a real slot, above the bound
	aheadWithin
	aheadBeyond
	classes
)

// ranked is the worker with the least draw of its class.
type ranked struct {
	worker int
	draw   float64
}

// next returns the first worker of the key's ranking of the best class that has
// any, or -1.
func (c *consistentHash) next(p *Pool, key uint64) int {
	bound := c.bound * float64(p.inFlight+1) / c.weight
	best, least, tickets := -1, usual/c.weight, c.tickets
	for i := range tickets {
		t := &tickets[i]
		x := mix(key, t.hash)
		if x > t.most {
			continue
		}
		v := fraction(x)
		if v >= least*t.weight {
			continue
		}
		d := exponential(v) / t.weight
		if w := p.workers[i]; d < least && w.ready() && float64(w.InFlight) < bound*t.weight {
			best, least = i, d
		}
	}
	if best >= 0 {
		return best
	}
	return c.nextOfAll(p, key, bound)
}

// nextOfAll is next when no usual draw is good enough.
func (c *consistentHash) nextOfAll(p *Pool, key uint64, bound float64) int {
	var best [classes]ranked
	for class := range best {
		best[class] = ranked{-1, math.Inf(1)}
	}
	for i, w := range p.workers {
		if w.Free <= 0 {
			continue
		}
		t := &c.tickets[i]
		class := within
		if !w.ready() {
			class = aheadWithin
		}
		if float64(w.InFlight) >= bound*t.weight {
			class++
		}
		v, b := fraction(mix(key, t.hash)), &best[class]
		if v >= b.draw*t.weight {
			continue
		}
		if d := exponential(v) / t.weight; d < b.draw {
			*b = ranked{i, d}
		}
	}
	for _, b := range best {
		if b.worker >= 0 {
			return b.worker
		}
	}
	return -1
}

// exponential returns -ln(1-v) for v in [0, 1), right to seven digits. Draws that
// win are mostly small, and there the first terms of the series are enough.
func exponential(v float64) float64 {
	if v <= 1./8 {
		return v * (1 + v*(1./2+v*(1./3+v*(1./4+v*(1./5+v/6)))))
	}
	// 1-v = m * 2^e with m between the roots of 1/2 and 2, and ln(m) = 2 artanh(s).
	const rootHalf = 0x3fe6a09e667f3bcd
	b := math.Float64bits(1-v) + (0x3ff<<52 - rootHalf)
	e := int64(b>>52) - 0x3ff
	m := math.Float64frombits(b&(1<<52-1) + rootHalf)
	s := (m - 1) / (m + 1)
	q := s * s
	return -float64(e)*math.Ln2 - 2*s*(1+q*(1./3+q*(1./5+q*(1./7+q/9))))
}

// mix makes one hash of two.
func mix(key, worker uint64) uint64 {
	hi, lo := bits.Mul64(key^worker, 0x9e3779b97f4a7c15)
	return hi ^ lo
}

// fraction makes a hash a number that is uniform in [0, 1).
func fraction(hash uint64) float64 { return float64(hash>>11) / (1 << 53) }
