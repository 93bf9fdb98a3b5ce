package balance

// p2c draws two different workers by weight and takes the one with the lower
// cost (the power of two choices; Mitzenmacher, 2001). The cost is the estimated
// latency, times (in flight + 1), over the weight: how long a task that comes now
// keeps the worker busy.
type p2c struct {
	draws draws
}

// Pick implements Picker.
func (c *p2c) Pick(p *Pool, _ string) (int, bool) {
	if len(p.workers) == 0 {
		return -1, false
	}
	first := -1
	for range tries {
		i := c.draws.draw(p)
		switch {
		case i == first || !p.workers[i].ready():
		case first < 0:
			first = i
		default:
			return cheaper(p, first, i), true
		}
	}
	return cheapest(p)
}

// cheaper returns the worker of the two with the lower cost.
func cheaper(p *Pool, a, b int) int {
	// Crosswise, so that nothing is divided.
	if cost(p, b)*p.weights[a] < cost(p, a)*p.weights[b] {
		return b
	}
	return a
}

// cheapest returns the worker with the lowest cost of those with a real slot, or
// else of those with any. It is for pools in which too few have one to be drawn.
func cheapest(p *Pool) (int, bool) {
	best, ready := -1, false
	for i, w := range p.workers {
		switch {
		case w.Free <= 0 || ready && !w.ready():
		case best < 0 || !ready && w.ready() || cheaper(p, best, i) == i:
			best, ready = i, w.ready()
		}
	}
	return best, best >= 0
}

// cost is that of one more task, before the weight counts.
func cost(p *Pool, i int) float64 {
	return p.latency.estimate(i) * float64(p.workers[i].InFlight+1)
}
