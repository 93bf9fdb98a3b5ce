package balance

import (
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Worker is one worker as a picker sees it. It may stand in several pools. Hash
// does not change while it stands in one.
type Worker struct {
	// Hash is HashID of the worker's ID, so that a worker that comes back gets the
	// keys that it had.
	Hash uint64
	// InFlight is the number of slots taken.
	InFlight int
	// Free is the number of slots that may be taken now; with none the worker is no
	// candidate.
	Free int
	// Ahead is how many of Free are prefetch, beyond the worker's real slots: 0 to
	// Free. They are taken only when no worker of the pool has a real slot.
	Ahead int
}

// ready reports whether the worker has a slot that is not prefetch.
func (w *Worker) ready() bool { return w.Free > w.Ahead }

// HashID returns the hash of a worker's ID.
func HashID(id string) uint64 { return xxhash.Sum64String(id) }

// Pool is a set of workers with their weights, and what its picker remembers of
// each. The zero value is an empty pool.
type Pool struct {
	workers  []*Worker
	weights  []float64 // of the worker at the same index
	turns    turns
	latency  latencies
	inFlight int
	// version changes with the workers and their weights, so that pickers know when
	// what they derived from them is stale.
	version uint64
}

// Len is the number of workers.
func (p *Pool) Len() int { return len(p.workers) }

// InFlight is the number of slots taken of all its workers.
func (p *Pool) InFlight() int { return p.inFlight }

// Weight is the share of the load that the worker at index i is to have relative
// to the others.
func (p *Pool) Weight(i int) float64 { return p.weights[i] }

// Add puts the worker at the end of the pool. The weight is finite and greater
// than 0.
func (p *Pool) Add(w *Worker, weight float64) {
	p.workers = append(p.workers, w)
	p.weights = append(p.weights, weight)
	p.turns.add(weight)
	p.latency.add()
	p.inFlight += w.InFlight
	p.version++
}

// Remove takes out the worker at index i; those behind it move up by one.
func (p *Pool) Remove(i int) {
	p.inFlight -= p.workers[i].InFlight
	p.workers = slices.Delete(p.workers, i, i+1)
	p.weights = slices.Delete(p.weights, i, i+1)
	p.turns.remove(i)
	p.latency.remove(i)
	p.version++
}

// Reweigh changes the weight of the worker at index i; it is finite and greater
// than 0. The worker keeps what it has in flight.
func (p *Pool) Reweigh(i int, weight float64) {
	if was := p.weights[i]; was != weight {
		p.turns.reweigh(i, was/weight)
		p.weights[i] = weight
		p.version++
	}
}

// Adjust tells the pool that the in-flight count of one of its workers changed
// by n.
func (p *Pool) Adjust(n int) { p.inFlight += n }
