package balance

import "math"

// leastInflight takes the worker whose load after the pick, (in flight + 1) /
// weight, is the least; of equal ones the one that is due first in smooth turns
// by weight.
type leastInflight struct{}

// Pick implements Picker.
func (leastInflight) Pick(p *Pool, _ string) (int, bool) {
	i := leastLoaded(p, false)
	if i < 0 {
		if i = leastLoaded(p, true); i < 0 {
			return -1, false
		}
	}
	p.turns.serve(i, p.weights[i])
	return i, true
}

// leastLoaded looks among the workers with a real slot, or with ahead among those
// with any. It returns -1 when there are none.
func leastLoaded(p *Pool, ahead bool) int {
	best, least, weight := -1, math.Inf(1), 1.0
	weights, due := p.weights[:len(p.workers)], p.turns.due[:len(p.workers)]
	for i, w := range p.workers {
		if !w.ready() && (!ahead || w.Free <= 0) {
			continue
		}
		// Loads are compared crosswise, so that equal ones are equal.
		load := float64(w.InFlight + 1)
		this, other := load*weight, least*weights[i]
		if this > other || this == other && due[i] >= due[best] {
			continue
		}
		best, least, weight = i, load, weights[i]
	}
	return best
}
