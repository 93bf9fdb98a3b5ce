package balance

// p2c draws two different workers by weight and takes the one with the lower
// cost (the power of two choices; Mitzenmacher, 2001). The cost is the estimated
// latency, times what the worker has in flight for its weight, plus one: how long
// a task that comes now keeps the worker busy.
//
// The first worker already follows the weights, so it keeps the task unless the
// second one costs less even half a task later. Were the weights compared once
// more while workers are nearly idle, light ones would starve; and without the
// half a task, the light ones, idle more often, would get too much.
type p2c struct {
	draws draws
}

// half is the part of a task by which the second worker must be better.
const half = 0.5

// Pick implements Picker.
func (c *p2c) Pick(p *Pool, _ string) (int, bool) {
	if len(p.workers) == 0 {
		return -1, false
	}
	first := -1
	for range tries {
		i := c.draws.draw(p)
		if i == first {
			i = c.another(first, len(p.workers))
		}
		switch {
		case i == first || !p.workers[i].ready():
		case first < 0:
			first = i
		case c.cost(p, i, half) < c.cost(p, first, 0):
			return i, true
		default:
			return first, true
		}
	}
	return c.cheapest(p)
}

// another returns any of n workers but the first, so that no try is lost when one
// worker has nearly all the weight.
func (c *p2c) another(first, n int) int {
	return (first + 1 + int(c.draws.fraction()*float64(n-1))) % n
}

// cheapest returns the worker with the lowest cost of those with a real slot, or
// else of those with any. It is for pools in which too few have one to be drawn.
func (c *p2c) cheapest(p *Pool) (int, bool) {
	best, ready, least := -1, false, 0.0
	for i, w := range p.workers {
		if w.Free <= 0 || ready && !w.ready() {
			continue
		}
		if cost := c.cost(p, i, half); best < 0 || !ready && w.ready() || cost < least {
			best, ready, least = i, w.ready(), cost
		}
	}
	return best, best >= 0
}

// cost is that of a task after so many more than are in flight. It compares
// workers of one pool, after a draw from it.
func (c *p2c) cost(p *Pool, i int, more float64) float64 {
	load := (float64(p.workers[i].InFlight) + more) * c.draws.mean / p.weights[i]
	return p.latency.estimate(i) * (load + 1)
}
