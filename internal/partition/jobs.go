package partition

import (
	"context"
	"sync"
)

// jobs runs functions one after another in a goroutine of their own.
type jobs struct {
	mu    sync.Mutex
	queue []func(context.Context) error
	open  int // functions that were added and have not returned
	wake  chan struct{}
}

func newJobs() *jobs { return &jobs{wake: make(chan struct{}, 1)} }

func (j *jobs) add(f func(context.Context) error) {
	j.mu.Lock()
	j.queue = append(j.queue, f)
	j.open++
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// busy reports whether a function that was added has not returned.
func (j *jobs) busy() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.open > 0
}

func (j *jobs) returned() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.open--
}

// run works until ctx ends, and tells fail of the first error, after which it
// stops.
func (j *jobs) run(ctx context.Context, fail func(error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.wake:
		}
		j.mu.Lock()
		queue := j.queue
		j.queue = nil
		j.mu.Unlock()
		for _, f := range queue {
			if err := f(ctx); err != nil {
				fail(err)
				return
			}
			j.returned()
		}
	}
}
