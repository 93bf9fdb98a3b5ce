package node

import (
	"slices"
	"sync"
)

// health is what the parts of a node say about themselves before it is ready, and
// what the databases say at any time.
type health struct {
	mu       sync.Mutex
	starting string         // the part that is being started; empty: all were
	shards   map[int]string // why databases do not answer, by shard
}

// start notes which part is being started; empty: all were.
func (h *health) start(part string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.starting = part
}

// shard notes why a database does not answer, or with nil that it does.
func (h *health) shard(number int, problem error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if problem == nil {
		delete(h.shards, number)
		return
	}
	if h.shards == nil {
		h.shards = map[int]string{}
	}
	h.shards[number] = "a database is away: " + problem.Error()
}

// Problems says what is wrong, one after another.
func (h *health) Problems() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var problems []string
	if h.starting != "" {
		problems = append(problems, "the node is starting, and is at its "+h.starting)
	}
	numbers := make([]int, 0, len(h.shards))
	for number := range h.shards {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	for _, number := range numbers {
		problems = append(problems, h.shards[number])
	}
	return problems
}
