package balance

import (
	"math/rand/v2"

	"github.com/fenfa/fenfa/internal/task"
)

// Picker is a balancing policy.
type Picker interface {
	// Pick returns the index of a worker with a free slot for a task of the key,
	// which is empty for tasks without one. When no worker may take the task ok is
	// false, and i is the only worker whose slots the task waits for, or -1 when any
	// will do.
	Pick(p *Pool, key string) (i int, ok bool)
}

// New returns the picker that the settings name. What it draws at random follows
// from the seed alone.
func New(b task.Balance, seed uint64) (Picker, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	switch b.Policy {
	case task.BalanceRoundRobin:
		return &roundRobin{}, nil
	case task.BalanceRandom:
		return &random{draws: newDraws(seed)}, nil
	case task.BalanceWeighted:
		return &weighted{}, nil
	case task.BalanceP2C:
		return &p2c{draws: newDraws(seed)}, nil
	case task.BalanceConsistentHash:
		return &consistentHash{bound: b.LoadBound, wait: b.Overflow == "wait"}, nil
	default:
		return leastInflight{}, nil
	}
}

func newDraws(seed uint64) draws {
	return draws{rng: *rand.NewPCG(seed, 0)}
}
