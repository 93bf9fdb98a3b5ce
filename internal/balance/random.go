package balance

// tries bounds the draws that end at a worker without a slot, before a scan
// finds one that has.
const tries = 8

// random takes a random worker, each as often as its weight says.
type random struct {
	draws draws
}

// Pick implements Picker.
func (r *random) Pick(p *Pool, _ string) (int, bool) {
	if len(p.workers) == 0 {
		return -1, false
	}
	for range tries {
		if i := r.draws.draw(p); p.workers[i].ready() {
			return i, true
		}
	}
	return r.scan(p)
}

// scan draws among the workers with a real slot, or else among those with any.
func (r *random) scan(p *Pool) (int, bool) {
	var free, ahead float64
	for i, w := range p.workers {
		if w.ready() {
			free += p.weights[i]
		} else if w.Free > 0 {
			ahead += p.weights[i]
		}
	}
	sum := free
	if free == 0 {
		sum = ahead
	}
	left, found := r.draws.fraction()*sum, -1
	for i, w := range p.workers {
		if w.Free <= 0 || free > 0 && !w.ready() {
			continue
		}
		found = i
		if left -= p.weights[i]; left < 0 {
			break
		}
	}
	return found, found >= 0
}
