package balance

import (
	"math/rand/v2"
	"slices"
)

// draws draws workers at random by weight, each in constant time, by the alias
// method (Walker, 1977; built after Vose, 1991).
type draws struct {
	rng     rand.PCG
	version uint64  // of the pool of which columns are made
	mean    float64 // weight, of the same pool
	columns []column
	scratch []int32
}

// column is one of n equally likely ones: it gives its own worker with
// probability own, and the other otherwise.
type column struct {
	own   float64
	other int32
}

// draw returns a worker of a pool that is not empty, whether it has a free slot
// or not.
func (d *draws) draw(p *Pool) int {
	if d.version != p.version {
		d.build(p.weights)
		d.version = p.version
	}
	x := d.fraction() * float64(len(d.columns))
	i := int(x)
	if c := &d.columns[i]; x-float64(i) >= c.own {
		return int(c.other)
	}
	return i
}

// fraction is uniform in [0, 1).
func (d *draws) fraction() float64 { return float64(d.rng.Uint64()>>11) / (1 << 53) }

// build makes the columns anew.
func (d *draws) build(weights []float64) {
	n := len(weights)
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	d.mean = sum / float64(n)
	d.columns = slices.Grow(d.columns[:0], n)[:n]
	d.scratch = slices.Grow(d.scratch[:0], n)[:n]
	// Workers below the mean gather at the front, those above it at the back.
	small, large := 0, n
	for i, w := range weights {
		d.columns[i] = column{own: w * float64(n) / sum, other: int32(i)}
		if d.columns[i].own < 1 {
			d.scratch[small] = int32(i)
			small++
		} else {
			large--
			d.scratch[large] = int32(i)
		}
	}
	for small > 0 && large < n {
		small--
		less, more := d.scratch[small], d.scratch[large]
		d.columns[less].other = more
		d.columns[more].own -= 1 - d.columns[less].own
		if d.columns[more].own < 1 {
			large++
			d.scratch[small] = more
			small++
		}
	}
}
