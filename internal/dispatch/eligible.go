package dispatch

import "github.com/fenfa/fenfa/internal/task"

// Eligible is how many workers may get tasks of the queue that require this. An
// ejected worker counts where only such ones are left, because then it gets tasks
// all the same.
func (d *Dispatcher) Eligible(name string, require task.Selector) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.byName[name]
	if q == nil {
		return 0
	}
	serving, ejected := 0, 0
	for _, m := range q.members {
		switch {
		case !require.Matches(m.session.hello.Labels):
		case m.ejected():
			ejected++
		default:
			serving++
		}
	}
	if serving == 0 {
		return ejected
	}
	return serving
}
