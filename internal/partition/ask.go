package partition

import (
	"context"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// askPatience is how long after a partition was lost questions still wait until it is
// served again: while it goes to another shard, or is claimed anew.
const askPatience = 2 * time.Second

// ask runs f in the core of a partition and waits for the answer that f gives. Where
// the partition was lost a moment ago, it waits until that is served again.
func ask[T any](ctx context.Context, o *owner, f func(c *core, now time.Time, answer func(T))) (T, error) {
	reply := make(chan T, 1)
	own := o.tell(ctx, func(c *core, now time.Time) { f(c, now, func(v T) { reply <- v }) })
	var none T
	if own == nil {
		return none, o.notServed()
	}
	return replied(ctx, own, reply)
}

// askIn is ask for one claim of a partition.
func askIn[T any](ctx context.Context, own *ownership, f func(c *core, now time.Time, answer func(T))) (T, error) {
	reply := make(chan T, 1)
	if !own.mail.post(func(c *core, now time.Time) { f(c, now, func(v T) { reply <- v }) }) {
		var none T
		return none, notServed(own.part)
	}
	return replied(ctx, own, reply)
}

// replied waits for the answer of a core that was asked.
func replied[T any](ctx context.Context, own *ownership, reply <-chan T) (T, error) {
	var none T
	select {
	case v := <-reply:
		return v, nil
	case <-own.gone:
		select {
		case v := <-reply:
			return v, nil
		default:
		}
		return none, task.Errorf(task.CodeUnavailable, "partition %d stopped before it answered: whether the change happened is unknown", own.part)
	case <-ctx.Done():
		return none, task.Errorf(task.CodeUnavailable, "partition %d did not answer in time: %w", own.part, ctx.Err())
	}
}

// look is ask for what changes nothing: it asks once more when the partition stopped
// before it answered.
func look[T any](ctx context.Context, o *owner, f func(c *core, now time.Time, answer func(T))) (T, error) {
	first := o.current()
	v, err := ask(ctx, o, f)
	if err != nil && first != nil && o.current() != first {
		return ask(ctx, o, f)
	}
	return v, err
}

// tell posts an event to the ownership that serves, and returns it. Where that was
// lost a moment ago it waits for the next one; nil: there is none.
func (o *owner) tell(ctx context.Context, ev event) *ownership {
	for {
		o.mu.Lock()
		own, next, lost := o.own, o.next, o.lost
		o.mu.Unlock()
		patience := askPatience
		if own == nil {
			patience -= o.e.cfg.Clock.Now().Sub(lost)
		} else if own.mail.post(ev) {
			return own
		} else {
			next = own.gone // It ends right now.
		}
		if patience <= 0 || o.e.draining.Load() || !await(ctx, patience, next) {
			return nil
		}
	}
}

// await waits until the channel is closed, or reports false after d, or when ctx
// ends.
func await(ctx context.Context, d time.Duration, closed <-chan struct{}) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	select {
	case <-closed:
		return true
	case <-ctx.Done():
		return false
	}
}

// serving returns the ownership that serves the partition, as ask waits for it; nil:
// there is none.
func (o *owner) serving(ctx context.Context) *ownership {
	return o.tell(ctx, func(*core, time.Time) {})
}

// notServed is the answer of a partition that nobody owns.
func (o *owner) notServed() error { return notServed(o.part) }

func notServed(part int) error {
	return task.Errorf(task.CodeUnavailable, "partition %d is not served at the moment: try again", part).WithRetryAfter(reclaimMax)
}
