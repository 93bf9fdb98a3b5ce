package fenfa

import (
	"context"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Purge says which waiting tasks of a queue are to be cancelled. Neither Queued nor
// Scheduled means both.
type Purge struct {
	Queued    bool   // those that could start now, but for workers, limits and tasks before them
	Scheduled bool   // those that wait for their time, or for that of their next attempt
	Key       string // only tasks of this key
	Type      string
	Text      string    // is in the payload, byte by byte
	Since     time.Time // was accepted then or later
	Until     time.Time // was accepted before
	Reason    string    // kept with each task, at most 4096 bytes; default "purged"
	// Progress, if set, is called with what was purged so far.
	Progress func(Purged)
}

// Purged is how many tasks a purge has cancelled.
type Purged struct {
	Queued    int64
	Scheduled int64
	// Unread says, where not all tasks are meant, that some wait in the broker's log behind
	// others that stay, where the node has no room to read them: they were not looked at.
	Unread bool
	// More says that a preview took long, and has counted a part.
	More bool
}

// PreviewPurge returns about how many tasks PurgeQueue would cancel now: exactly as
// many while nothing happens. What no node has read from its broker counts as queued;
// where not all tasks are meant and the broker cannot be searched, Unread says that it
// was left out.
func (c *Client) PreviewPurge(ctx context.Context, queue string, p Purge) (Purged, error) {
	resp, err := call(ctx, c, "preview purge", c.queues.Purge, p.toWire(queue, true, 0))
	if err != nil {
		return Purged{}, err
	}
	return Purged{Queued: resp.GetQueued(), Scheduled: resp.GetScheduled(), Unread: resp.GetUnread(), More: resp.GetMore()}, nil
}

// PurgeQueue cancels the tasks of a queue that wait, those that were accepted before
// the call. Tasks that run stay, and so do those that are submitted after it began; a
// submit that is under way meanwhile may go either way. Beside an error it
// returns what it has cancelled at least.
func (c *Client) PurgeQueue(ctx context.Context, queue string, p Purge) (Purged, error) {
	var sum Purged
	for before, more := uint64(0), true; more; {
		resp, err := call(ctx, c, "purge queue", c.queues.Purge, p.toWire(queue, false, before))
		if err != nil {
			return sum, err
		}
		sum.Queued += resp.GetQueued()
		sum.Scheduled += resp.GetScheduled()
		sum.Unread = resp.GetUnread()
		before, more = resp.GetBefore(), resp.GetMore()
		if p.Progress != nil {
			p.Progress(sum)
		}
	}
	return sum, nil
}

func (p Purge) toWire(queue string, dryRun bool, before uint64) *fenfav1.PurgeQueueRequest {
	w := &fenfav1.PurgeQueueRequest{Name: queue, DryRun: dryRun, Reason: p.Reason, Before: before, Key: p.Key, Type: p.Type, Text: p.Text, Since: momentToWire(p.Since), Until: momentToWire(p.Until)}
	if p.Queued {
		w.States = append(w.States, fenfav1.TaskState_TASK_STATE_QUEUED)
	}
	if p.Scheduled {
		w.States = append(w.States, fenfav1.TaskState_TASK_STATE_SCHEDULED)
	}
	return w
}
