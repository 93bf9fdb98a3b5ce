package partition

import (
	"context"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// pause pauses one queue, or resumes it.
func (w *world) pause() {
	name := pick(w, simQueues...)
	w.configureQueue(name, func(q *task.Queue) {
		q.Paused = !q.Paused
		w.logf("queue %s is paused: %v", name, q.Paused)
	})
	for _, o := range w.current {
		if o != nil {
			o.mail.post(func(c *core, _ time.Time) {
				if q := c.queues[name]; q.Paused && q.waiting() {
					w.tally.pauses++
				}
			})
		}
	}
}

// pausedQueues are the queues that are paused now.
func (w *world) pausedQueues() map[string]bool {
	paused := map[string]bool{}
	for name, r := range *w.engine.queues.Load() {
		paused[name] = r.settings.Paused
	}
	return paused
}

// tell lets an owner know a queue's settings.
func (w *world) tell(o *simOwner, q task.Queue) {
	o.paused[q.Name] = q.Paused
	if w.plan.mutant == mutantIgnoresPauses {
		q.Paused = false
	}
	if err := o.serveQueue(context.Background(), q); err != nil {
		o.failed = err // a later owner reads its logs
	}
}

// mayStart holds that an owner which knows that a queue is paused starts none of its
// tasks, whenever they became ready.
func (m *model) mayStart(o *simOwner, lease *task.Lease) {
	if o.paused[lease.Queue] {
		m.w.failf("tasks of queue %s start at an owner that was told of its pause", lease.Queue)
	}
}
