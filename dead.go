package fenfa

import (
	"context"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Page says which part of a list is wanted. The zero value is the first page of
// the default size.
type Page struct {
	Size  int    // 0: 100; at most 1000
	Token string // what the call before returned as next; empty: the first page
}

// Attempt is one failed execution of a task.
type Attempt struct {
	At     time.Time
	Worker string
	Error  string
}

// DeadLetter is a task that will not be tried again by itself.
type DeadLetter struct {
	Task       *Task // without payload in lists
	Reason     string
	DiedAt     time.Time
	Attempts   int // how often a handler failed
	Deliveries int // how often it was handed to a worker
	History    []Attempt
}

// DeadLetters lists dead letters of a queue without their payloads, oldest first
// within each partition. An empty next says that there are no more.
func (c *Client) DeadLetters(ctx context.Context, queue string, page Page) (dead []DeadLetter, next string, err error) {
	resp, err := call(ctx, c, "list dead letters", c.queues.ListDead,
		&fenfav1.ListDeadRequest{Queue: queue, PageSize: clampUint32(page.Size), PageToken: page.Token})
	if err != nil {
		return nil, "", err
	}
	dead = make([]DeadLetter, len(resp.GetDead()))
	for i, d := range resp.GetDead() {
		dead[i] = deadLetterOf(d)
	}
	return dead, resp.GetNextPageToken(), nil
}

// DeadLetter returns one dead letter with its payload and history. It fails with
// CodeNotFound where the task is not dead.
func (c *Client) DeadLetter(ctx context.Context, id ID) (DeadLetter, error) {
	resp, err := call(ctx, c, "get dead letter", c.queues.GetDead, &fenfav1.GetDeadRequest{Id: id.String()})
	if err != nil {
		return DeadLetter{}, err
	}
	return deadLetterOf(resp.GetDead()), nil
}

func deadLetterOf(w *fenfav1.DeadLetter) DeadLetter {
	return DeadLetter{
		Task:       &Task{wire: w.GetTask(), ownID: true},
		Reason:     w.GetReason(),
		DiedAt:     timeOf(w.GetDiedAt()),
		Attempts:   int(w.GetAttempts()),
		Deliveries: int(w.GetDeliveries()),
		History:    attemptsOf(w.GetHistory()),
	}
}

func attemptsOf(w []*fenfav1.Attempt) []Attempt {
	attempts := make([]Attempt, len(w))
	for i, a := range w {
		attempts[i] = Attempt{At: timeOf(a.GetAt()), Worker: a.GetWorker(), Error: a.GetError()}
	}
	return attempts
}
