package partition

import (
	"context"
	"errors"
	"sync"
	"time"
)

// hold keeps a partition from being claimed while it goes to another shard.
type hold struct {
	waits chan struct{} // closed when the owner waits, and owns nothing
	over  chan struct{} // closed when it may claim again
	once  sync.Once     // closes waits
	ended func()        // called when the partition is owned again
}

// errHeld ends an ownership that is to be claimed again as soon as the hold is over.
var errHeld = errors.New("the partition is held back")

// errHeldTwice says that two hold back one partition.
var errHeldTwice = errors.New("the partition is held back already")

// holdBack ends the ownership, as a failure does, and returns when it has ended. The
// function that it returns lets the owner claim again; ended is called when it has.
func (o *owner) holdBack(ctx context.Context, ended func()) (release func(), err error) {
	h := &hold{waits: make(chan struct{}), over: make(chan struct{}), ended: ended}
	o.mu.Lock()
	if o.hold != nil {
		o.mu.Unlock()
		return nil, errHeldTwice
	}
	o.hold = h
	own := o.own
	o.mu.Unlock()
	release = sync.OnceFunc(func() {
		o.mu.Lock()
		o.hold, o.returns = nil, h.ended
		o.mu.Unlock()
		close(h.over)
	})
	if own != nil {
		own.mail.post(func(*core, time.Time) { own.failed = errHeld })
	}
	select {
	case <-h.waits:
		return release, nil
	case <-ctx.Done():
		release()
		return nil, context.Cause(ctx)
	}
}

// heldBack waits in the owner's goroutine while the partition is held back, or until
// ctx ends.
func (o *owner) heldBack(ctx context.Context) {
	for ctx.Err() == nil {
		o.mu.Lock()
		h := o.hold
		o.mu.Unlock()
		if h == nil {
			return
		}
		h.once.Do(func() { close(h.waits) })
		select {
		case <-h.over:
		case <-ctx.Done():
		}
	}
}

// serves says that an ownership serves, unless the partition is held back.
func (o *owner) serves(own *ownership) {
	o.mu.Lock()
	o.own = own
	close(o.next)
	o.next = make(chan struct{})
	held, ended := o.hold != nil, o.returns
	o.returns = nil
	o.mu.Unlock()
	if ended != nil {
		ended()
	}
	if held {
		own.mail.post(func(*core, time.Time) { own.failed = errHeld })
	}
}
