package balance

// roundRobin takes the workers in turns, whatever their weights, and passes over
// those without a free slot.
type roundRobin struct {
	next int
}

// Pick implements Picker.
func (r *roundRobin) Pick(p *Pool, _ string) (int, bool) {
	n := len(p.workers)
	i := r.next
	for range n {
		if i >= n {
			i = 0
		}
		if p.workers[i].Free > 0 {
			r.next = i + 1
			return i, true
		}
		i++
	}
	return -1, false
}
