package partition

import (
	"context"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// previewOnly counts what a purge of some tasks would take out, as a search finds them.
// It works for as long as a purge at most, and then says that there is more.
func (e *Engine) previewOnly(ctx context.Context, p Purge) (Purged, error) {
	f := p.Only
	f.Queue, f.State = p.Queue, task.StateUnknown
	cur, err := e.searchFrom(&f, "")
	if err != nil {
		return Purged{}, err
	}
	var would Purged
	for until := e.cfg.Clock.Now().Add(purgePatience); ; {
		if e.cfg.Clock.Now().After(until) {
			would.More = true
			return would, nil
		}
		found, examined := []TaskStatus(nil), 0
		if cur.stage <= inScheduleRows { // Behind, nothing waits.
			if found, examined, err = e.searchStep(ctx, &f, cur, searchPage); err != nil {
				return Purged{}, err
			}
		}
		would.tally(&p, found)
		if examined == 0 && !e.nextStage(&f, cur) {
			would.Unread, err = e.hasUnread(ctx, &p)
			return would, err
		}
	}
}

// tally counts tasks that wait.
func (n *Purged) tally(p *Purge, found []TaskStatus) {
	for i := range found {
		switch found[i].State { //nolint:exhaustive // The others do not wait.
		case task.StateQueued, task.StateReady:
			if p.Queued {
				n.Queued++
			}
		case task.StateScheduled:
			if p.Scheduled {
				n.Scheduled++
			}
		}
	}
}

// hasUnread reports whether there are tasks in the logs that nobody has read yet, and
// that a search does not find there.
func (e *Engine) hasUnread(ctx context.Context, p *Purge) (bool, error) {
	if _, peeks := e.cfg.Broker.(broker.Peeker); peeks {
		return false, nil
	}
	backlog, err := e.backlog(ctx, p.Queue)
	if err != nil {
		return false, err
	}
	for _, o := range e.owners {
		held, err := look(ctx, o, func(c *core, _ time.Time, answer func(int64)) {
			n := 0
			if q := c.queues[p.Queue]; q != nil {
				for _, b := range q.bands {
					n += b.held.Tasks
				}
			}
			answer(int64(n))
		})
		if err != nil {
			return false, err
		}
		backlog.Tasks -= held
	}
	return backlog.Tasks > 0, nil
}
