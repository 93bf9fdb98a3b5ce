package partition

import (
	"context"
	"sync"
)

// jobs runs functions one after another in a goroutine of their own.
type jobs struct {
	mu    sync.Mutex
	queue []func(context.Context) error
	wake  chan struct{}
}

func newJobs() *jobs { return &jobs{wake: make(chan struct{}, 1)} }

func (j *jobs) add(f func(context.Context) error) {
	j.mu.Lock()
	j.queue = append(j.queue, f)
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default:
	}
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
		}
	}
}
