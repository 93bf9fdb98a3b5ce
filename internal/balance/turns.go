package balance

import (
	"math"
	"slices"
)

// turns deals out turns by weight, smoothly: a worker of weight 5 has five times
// the turns of one of weight 1, spread evenly among those of the others. Each
// worker is due again 1/weight after its last turn, and the one that is due first
// comes next (as in virtual clock scheduling, L. Zhang, 1990).
type turns struct {
	due    []float64 // by worker, in turns for each unit of weight
	now    float64   // when the last turn was due
	joined int
}

// add lets a newcomer begin at a phase of its own, multiples of the golden ratio,
// so that workers of one weight do not come in a block, and without any turns to
// make up.
func (t *turns) add(weight float64) {
	t.joined++
	_, phase := math.Modf(float64(t.joined) / math.Phi)
	t.due = append(t.due, t.now+phase/weight)
}

func (t *turns) remove(i int) { t.due = slices.Delete(t.due, i, i+1) }

// reweigh stretches the time until the worker is due.
func (t *turns) reweigh(i int, factor float64) {
	t.due[i] = t.now + (t.due[i]-t.now)*factor
}

// serve counts a turn of the worker. One that has not had any for long is due now,
// and has no more than that to make up.
func (t *turns) serve(i int, weight float64) {
	t.now = max(t.now, t.due[i])
	t.due[i] = max(t.due[i]+1/weight, t.now)
	if t.now > horizon {
		t.rebase()
	}
}

// lose lets a turn of the worker pass unused, because it is full.
func (t *turns) lose(i int, weight float64) { t.due[i] += 1 / weight }

// horizon keeps times so small that they can tell neighbouring turns apart.
const horizon = 1 << 20

// rebase lets time begin anew.
func (t *turns) rebase() {
	for i := range t.due {
		t.due[i] -= t.now
	}
	t.now = 0
}
