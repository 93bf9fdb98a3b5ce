package balance

import "math"

// leastInflight takes the worker whose load after the pick, (in flight + 1) /
// weight, is the least; of equal ones the one that is due first in smooth turns
// by weight.
type leastInflight struct{}

// Pick implements Picker.
func (leastInflight) Pick(p *Pool, _ string) (int, bool) {
	best, least, real := -1, math.Inf(1), false
	for i, w := range p.workers {
		if w.Free <= 0 {
			continue
		}
		// Equal fractions give equal quotients, so ties are exact.
		load := float64(w.InFlight+1) / p.weights[i]
		if w.real() != real {
			if real {
				continue
			}
			best, least, real = i, load, true
			continue
		}
		if load < least || load == least && p.turns.due[i] < p.turns.due[best] {
			best, least = i, load
		}
	}
	if best < 0 {
		return -1, false
	}
	p.turns.serve(best, p.weights[best])
	return best, true
}
