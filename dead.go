package fenfa

import (
	"context"
	"iter"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

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
	At        time.Time // when it ended
	StartedAt time.Time // zero: not known
	Worker    string
	Error     string
}

// DeadLetter is a task that will not be tried again by itself.
type DeadLetter struct {
	Task       *Task // without payload in lists
	Reason     string
	DiedAt     time.Time
	Attempts   int // how often a handler failed, since it was requeued the last time
	Deliveries int // how often it was handed to a worker, since then
	Requeues   int // how often it was a dead letter before
	History    []Attempt
	HaltsKey   bool // its key waits for a decision about it; only DeadLetter knows
}

// DeadFilter says which dead letters are meant. Its zero value means all of them.
type DeadFilter struct {
	Queue string
	Key   string
	Type  string
	Text  string    // is in the reason, in any case of letters
	Since time.Time // died then or later
	Until time.Time // died before
}

func (f DeadFilter) toWire() *fenfav1.DeadFilter {
	return &fenfav1.DeadFilter{Queue: f.Queue, Key: f.Key, Type: f.Type, Text: f.Text, Since: momentToWire(f.Since), Until: momentToWire(f.Until)}
}

// momentToWire leaves the zero time unset.
func momentToWire(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// DeadLetters lists dead letters without their payloads, oldest first within a queue
// and partition. A page may be short, or empty, and not be the last: an empty next
// says that there are no more.
func (c *Client) DeadLetters(ctx context.Context, filter DeadFilter, page Page) (dead []DeadLetter, next string, err error) {
	f := filter.toWire()
	resp, err := call(ctx, c, "list dead letters", c.letters.List, &fenfav1.ListDeadRequest{
		Queue: f.GetQueue(), Key: f.GetKey(), Type: f.GetType(), Text: f.GetText(), Since: f.GetSince(), Until: f.GetUntil(),
		PageSize: clampUint32(page.Size), PageToken: page.Token,
	})
	if err != nil {
		return nil, "", err
	}
	dead = make([]DeadLetter, len(resp.GetDead()))
	for i, d := range resp.GetDead() {
		dead[i] = deadLetterOf(d)
	}
	return dead, resp.GetNextPageToken(), nil
}

// EachDeadLetter goes over all dead letters that a filter means, without their
// payloads, as DeadLetters does page by page. It ends after the first error.
func (c *Client) EachDeadLetter(ctx context.Context, filter DeadFilter) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		page := Page{Size: 1000}
		for {
			dead, next, err := c.DeadLetters(ctx, filter, page)
			for _, d := range dead {
				if !yield(d, nil) {
					return
				}
			}
			if err != nil {
				yield(DeadLetter{}, err)
				return
			}
			if page.Token = next; next == "" {
				return
			}
		}
	}
}

// DeadLetter returns one dead letter with its payload and history. It fails with
// CodeNotFound where the task is not dead.
func (c *Client) DeadLetter(ctx context.Context, id ID) (DeadLetter, error) {
	resp, err := call(ctx, c, "get dead letter", c.letters.Get, &fenfav1.GetDeadRequest{Id: id.String()})
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
		Requeues:   int(w.GetRequeues()),
		History:    attemptsOf(w.GetHistory()),
		HaltsKey:   w.GetHaltsKey(),
	}
}

func attemptsOf(w []*fenfav1.Attempt) []Attempt {
	attempts := make([]Attempt, len(w))
	for i, a := range w {
		attempts[i] = Attempt{At: timeOf(a.GetAt()), StartedAt: timeOf(a.GetStartedAt()), Worker: a.GetWorker(), Error: a.GetError()}
	}
	return attempts
}
