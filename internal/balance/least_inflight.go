package balance

// leastInflight takes the worker whose load after the pick, (in flight + 1) /
// weight, is the least; of equal ones the next in turn.
type leastInflight struct {
	next int
}

// Pick implements Picker.
func (l *leastInflight) Pick(p *Pool, _ string) (int, bool) {
	start := min(l.next, len(p.workers))
	i := least(p.workers[start:])
	if i >= 0 {
		i += start
	}
	// The turn begins at start, so a worker before it must be strictly better.
	if j := least(p.workers[:start]); j >= 0 && (i < 0 || less(p.workers[j], p.workers[i])) {
		i = j
	}
	l.next = i + 1
	return i, i >= 0
}

// least returns the first of the least loaded workers with a free slot, or -1.
func least(workers []*Worker) int {
	best := -1
	var load, weight float64
	for i, w := range workers {
		if w.Free <= 0 {
			continue
		}
		l := float64(w.InFlight + 1)
		if best < 0 || l*weight < load*w.Weight {
			best, load, weight = i, l, w.Weight
		}
	}
	return best
}

// less compares loads crosswise, so that no division rounds.
func less(a, b *Worker) bool {
	return float64(a.InFlight+1)*b.Weight < float64(b.InFlight+1)*a.Weight
}
