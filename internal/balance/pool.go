package balance

import (
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Worker is one worker as a picker sees it. It may stand in several pools.
// Hash and Weight do not change while it stands in one.
type Worker struct {
	// Hash is HashID of the worker's ID, so that a worker that comes back gets the
	// keys that it had.
	Hash uint64
	// Weight is the share of the load relative to other workers, greater than 0.
	Weight float64
	// InFlight is the number of slots taken.
	InFlight int
	// Free is the number of slots that may be taken now; with none the worker is no
	// candidate.
	Free int
}

// HashID returns the hash of a worker's ID.
func HashID(id string) uint64 { return xxhash.Sum64String(id) }

// Pool is a set of workers with its sums.
type Pool struct {
	workers  []*Worker
	tickets  []ticket // of the worker at the same index
	weight   float64
	inFlight int
}

// ticket is what consistent hashing reads of every worker for every pick, side
// by side in memory.
type ticket struct {
	hash   uint64
	weight float64
}

// Len is the number of workers.
func (p *Pool) Len() int { return len(p.workers) }

// InFlight is the number of slots taken of all its workers.
func (p *Pool) InFlight() int { return p.inFlight }

// Add puts the worker at the end of the pool.
func (p *Pool) Add(w *Worker) {
	p.workers = append(p.workers, w)
	p.tickets = append(p.tickets, ticket{hash: w.Hash, weight: w.Weight})
	p.weight += w.Weight
	p.inFlight += w.InFlight
}

// Remove takes out the worker at index i; those behind it move up by one.
func (p *Pool) Remove(i int) {
	p.inFlight -= p.workers[i].InFlight
	p.workers = slices.Delete(p.workers, i, i+1)
	p.tickets = slices.Delete(p.tickets, i, i+1)
	// The sum is made anew, so that rounding errors do not pile up.
	p.weight = 0
	for _, w := range p.workers {
		p.weight += w.Weight
	}
}

// Adjust tells the pool that the in-flight count of one of its workers changed
// by n.
func (p *Pool) Adjust(n int) { p.inFlight += n }
