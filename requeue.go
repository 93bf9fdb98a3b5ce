package fenfa

import (
	"context"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// RequeueDead takes a dead letter back into its queue, under its ID; it counts
// attempts anew and keeps its history. A key that waits for the decision begins with
// it; otherwise it comes after the key's tasks that the node has read.
func (c *Client) RequeueDead(ctx context.Context, id ID) error {
	_, err := call(ctx, c, "requeue dead letter", c.letters.Requeue, &fenfav1.RequeueDeadRequest{Id: id.String()})
	return err
}

// RequeueDeadAs is RequeueDead with another payload, which is encoded as that of
// NewTask.
func (c *Client) RequeueDeadAs(ctx context.Context, id ID, payload any) error {
	b, err := encode(payload)
	if err != nil {
		return err
	}
	if b == nil {
		b = []byte{}
	}
	_, err = call(ctx, c, "requeue dead letter", c.letters.Requeue, &fenfav1.RequeueDeadRequest{Id: id.String(), Payload: b})
	return err
}

// DeleteDead removes a dead letter for good. A key that waits for the decision goes
// on.
func (c *Client) DeleteDead(ctx context.Context, id ID) error {
	_, err := call(ctx, c, "delete dead letter", c.letters.Delete, &fenfav1.DeleteDeadRequest{Id: id.String()})
	return err
}

// DeadWalk says how many dead letters are changed one after another. The zero value
// changes all that the filter means.
type DeadWalk struct {
	Step   int    // most to change with one call to the node; 0: 1000; at most 10,000
	From   string // Next of a walk that ended early; empty: from the begin
	DryRun bool   // change nothing; Changed counts what would be
	// Progress is told after each step, from the caller's goroutine. An error ends the
	// walk. Nil: nobody is told.
	Progress func(DeadProgress) error
}

// DeadProgress is what a walk did so far. All of it is durable.
type DeadProgress struct {
	Examined int64 // dead letters that were looked at
	Matched  int64 // of these, what the filter means
	Changed  int64
	Refused  int64 // could not be changed, and stay
	Refusals []DeadRefusal
	Next     string // where the walk goes on; empty: it is at its end
}

// DeadRefusal is a dead letter that could not be changed.
type DeadRefusal struct {
	ID  ID
	Err *Error
}

// maxRefusals is how many dead letters that could not be changed are named.
const maxRefusals = 100

// RequeueAllDead takes all dead letters back that a filter means, step by step; tasks
// of one key keep their order. What dies while it goes on is left. With an error, what
// is returned tells what happened until then, and where to go on.
func (c *Client) RequeueAllDead(ctx context.Context, filter DeadFilter, walk DeadWalk) (DeadProgress, error) {
	return walk.run(func(token string) (*fenfav1.DeadProgress, string, error) {
		resp, err := call(ctx, c, "requeue dead letters", c.letters.RequeueAll, &fenfav1.RequeueAllDeadRequest{
			Filter: filter.toWire(), Limit: clampUint32(walk.Step), PageToken: token, DryRun: walk.DryRun,
		})
		return resp.GetProgress(), resp.GetNextPageToken(), err
	})
}

// DeleteAllDead removes all dead letters that a filter means, as RequeueAllDead.
func (c *Client) DeleteAllDead(ctx context.Context, filter DeadFilter, walk DeadWalk) (DeadProgress, error) {
	return walk.run(func(token string) (*fenfav1.DeadProgress, string, error) {
		resp, err := call(ctx, c, "delete dead letters", c.letters.DeleteAll, &fenfav1.DeleteAllDeadRequest{
			Filter: filter.toWire(), Limit: clampUint32(walk.Step), PageToken: token, DryRun: walk.DryRun,
		})
		return resp.GetProgress(), resp.GetNextPageToken(), err
	})
}

func (w *DeadWalk) run(step func(token string) (*fenfav1.DeadProgress, string, error)) (DeadProgress, error) {
	sum := DeadProgress{Next: w.From}
	for {
		p, next, err := step(sum.Next)
		if err != nil {
			return sum, err
		}
		sum.add(p, next)
		if w.Progress != nil {
			if err := w.Progress(sum); err != nil {
				return sum, err
			}
		}
		if next == "" {
			return sum, nil
		}
	}
}

func (p *DeadProgress) add(w *fenfav1.DeadProgress, next string) {
	p.Examined += w.GetExamined()
	p.Matched += w.GetMatched()
	p.Changed += w.GetChanged()
	p.Refused += w.GetRefused()
	for _, r := range w.GetRefusals() {
		if id, ok := parseID(r.GetId()); ok && len(p.Refusals) < maxRefusals {
			p.Refusals = append(p.Refusals, DeadRefusal{ID: id, Err: errorFromWire(r.GetError())})
		}
	}
	p.Next = next
}
