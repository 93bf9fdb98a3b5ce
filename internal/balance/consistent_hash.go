package balance

import (
	"math"
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// consistentHash gives every key a ranking of all workers by weighted rendezvous
// hashing (Thaler and Ravishankar, 1998; weights after Schindelhauer and
// Schomaker, 2005): worker i draws -ln(u)/weight, with u uniform and fixed by key
// and worker, and the least draw is first. When a worker leaves only its own keys
// move, each to the next in its ranking.
//
// With overflow "next" a task goes to the first worker of the ranking that has a
// free slot and stays within bound times its share of everything in flight
// (Mirrokni, Thorup and Zadimoghaddam, 2018); when all that stay within it are
// full, the bound yields, so that no slot is idle while a task waits. With
// overflow "wait" a task waits for the first worker of its ranking until that has
// a free slot, and the bound does not count.
//
// Tasks without a key have no ranking and go to the least loaded worker.
type consistentHash struct {
	bound   float64
	wait    bool
	keyless leastInflight
}

// Pick implements Picker.
func (c *consistentHash) Pick(p *Pool, key string) (int, bool) {
	if key == "" {
		return c.keyless.Pick(p, key)
	}
	h := xxhash.Sum64String(key)
	if c.wait {
		i := first(p, h, 0, math.Inf(1))
		return i, i >= 0 && p.workers[i].Free > 0
	}
	i := first(p, h, 1, c.bound*float64(p.inFlight+1)/p.weight)
	if i < 0 {
		i = first(p, h, 1, math.Inf(1))
	}
	return i, i >= 0
}

// first returns the worker with the least draw among those with at least free
// slots and fewer than bound slots in flight for each unit of weight, or -1.
func first(p *Pool, key uint64, free int, bound float64) int {
	// The least of all draws is exponential with the sum of the weights as its rate:
	// only one key in 3,000 has none below 8/weight, and looking there first spares
	// most of the work.
	if i := firstBelow(p, key, free, bound, 8/p.weight); i >= 0 {
		return i
	}
	return firstBelow(p, key, free, bound, math.Inf(1))
}

// firstBelow is first among the draws below least.
func firstBelow(p *Pool, key uint64, free int, bound, least float64) int {
	best := -1
	for i := range p.tickets {
		t := &p.tickets[i]
		// -ln(1-v) is never below v, so most workers lose without a logarithm, and
		// without a look at their counts.
		v := fraction(key, t.hash)
		if v >= least*t.weight {
			continue
		}
		d := exponential(v) / t.weight
		if w := p.workers[i]; d < least && w.Free >= free && float64(w.InFlight) < bound*t.weight {
			best, least = i, d
		}
	}
	return best
}

// exponential returns -ln(1-v). Draws that win are small, and there the first
// terms of the series are right to seven digits and cheaper than a logarithm.
func exponential(v float64) float64 {
	if v > 1./8 {
		return -math.Log1p(-v)
	}
	return v * (1 + v*(1./2+v*(1./3+v*(1./4+v*(1./5+v/6)))))
}

// fraction mixes two hashes into a number that is uniform in [0, 1).
func fraction(key, worker uint64) float64 {
	hi, lo := bits.Mul64(key^worker, 0x9e3779b97f4a7c15)
	return float64((hi^lo)>>11) / (1 << 53)
}
