package balance

import "slices"

// weighted takes the workers in smooth turns by weight. A worker that is full
// when its turn comes loses the turn.
type weighted struct {
	version uint64 // of the pool of which first is made
	// first is a tournament of n workers: first[n+i] is worker i, first[k] the one of
	// first[2k] and first[2k+1] that is due first, and first[1] the winner of all.
	first []int32
}

// Pick implements Picker.
func (t *weighted) Pick(p *Pool, _ string) (int, bool) {
	n := len(p.workers)
	if n == 0 {
		return -1, false
	}
	if t.version != p.version {
		t.build(p)
	}
	i := int(t.first[1])
	if !p.workers[i].ready() {
		full := i
		if i = dueFirst(p); i < 0 {
			return -1, false
		}
		if i != full {
			p.turns.lose(full, p.weights[full])
			t.play(p, full)
		}
	}
	p.turns.serve(i, p.weights[i])
	t.play(p, i)
	return i, true
}

// dueFirst returns the worker with a real slot that is due first, or else the
// one with any slot, or -1.
func dueFirst(p *Pool) int {
	best, ready := -1, false
	for i, w := range p.workers {
		switch {
		case w.Free <= 0 || ready && !w.ready():
		case best < 0 || !ready && w.ready() || p.turns.due[i] < p.turns.due[best]:
			best, ready = i, w.ready()
		}
	}
	return best
}

// build plays the whole tournament anew.
func (t *weighted) build(p *Pool) {
	n := len(p.workers)
	p.turns.rebase()
	t.first = slices.Grow(t.first[:0], 2*n)[:2*n]
	for i := range n {
		t.first[n+i] = int32(i)
	}
	for k := n - 1; k > 0; k-- {
		t.match(p.turns.due, k)
	}
	t.version = p.version
}

// play repeats the matches of worker i.
func (t *weighted) play(p *Pool, i int) {
	for k := (len(t.first)/2 + i) / 2; k > 0; k /= 2 {
		t.match(p.turns.due, k)
	}
}

func (t *weighted) match(due []float64, k int) {
	a, b := t.first[2*k], t.first[2*k+1]
	if due[b] < due[a] || due[b] == due[a] && b < a {
		a = b
	}
	t.first[k] = a
}
