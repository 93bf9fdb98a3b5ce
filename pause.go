package fenfa

import (
	"context"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// PauseQueue keeps the tasks of a queue from being handed out until ResumeQueue, also
// over restarts of nodes. Submits go on, up to the queue's MaxBacklog; what workers
// have, prefetched tasks too, they finish. It returns the configuration as it is now.
func (c *Client) PauseQueue(ctx context.Context, name string) (Queue, error) {
	resp, err := call(ctx, c, "pause queue", c.queues.Pause, &fenfav1.PauseQueueRequest{Name: name})
	if err != nil {
		return Queue{}, err
	}
	return queueOf(resp.GetQueue()), nil
}

// ResumeQueue hands the tasks of a paused queue out again, and does nothing to one
// that is not paused. It returns the configuration as it is now.
func (c *Client) ResumeQueue(ctx context.Context, name string) (Queue, error) {
	resp, err := call(ctx, c, "resume queue", c.queues.Resume, &fenfav1.ResumeQueueRequest{Name: name})
	if err != nil {
		return Queue{}, err
	}
	return queueOf(resp.GetQueue()), nil
}
