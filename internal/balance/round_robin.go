package balance

// roundRobin takes the workers in turns, whatever their weights, and passes over
// those without a free slot.
type roundRobin struct {
	next int
}

// Pick implements Picker.
func (r *roundRobin) Pick(p *Pool, _ string) (int, bool) {
	n, ahead := len(p.workers), -1
	i := r.next
	for range n {
		if i >= n {
			i = 0
		}
		if w := p.workers[i]; w.ready() {
			r.next = i + 1
			return i, true
		} else if w.Free > 0 && ahead < 0 {
			ahead = i
		}
		i++
	}
	if ahead >= 0 {
		r.next = ahead + 1
	}
	return ahead, ahead >= 0
}
