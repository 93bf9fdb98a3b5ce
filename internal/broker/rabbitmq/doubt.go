package rabbitmq

import "time"

// doubt says how long ago what the server still gives may have been settled. Right
// after a reader subscribed, the server may give messages again that were settled
// long ago, by this reader or one before: acks get lost, and a message comes again
// as a whole. It gives them first; so there is no doubt any more once the reader
// handed out, and was asked again after, a message that was published later than it
// subscribed, or stood by for a while with nothing to hand out.
type doubt struct {
	exists bool
	since  time.Time // what was settled before this does not come; zero: anything may
	begun  time.Time // of the subscription of now; zero: there is none
	stamp  uint64    // what this process publishes has this one or a later one
	idle   bool      // asked, and nothing was there
	newer  bool      // something newer was handed out
}

const (
	// ackGrace is how late the server may hear of what was settled.
	ackGrace = time.Minute
	// standby is how long it takes until the server gives what there is, also when the
	// reader before is gone without a word.
	standby = time.Minute
	// stampRange is more than one process publishes.
	stampRange = 1 << 40
)

func newDoubt() doubt { return doubt{exists: true} }

// subscribed says that the server was asked for messages; what is published from
// now on has the stamp or a later one.
func (d *doubt) subscribed(now time.Time, stamp uint64) {
	d.begun, d.stamp = now, stamp
}

// lost says that the subscription ended.
func (d *doubt) lost(now time.Time) {
	if !d.exists {
		d.exists, d.since = true, now.Add(-ackGrace)
	}
	d.begun, d.newer = time.Time{}, false
}

// asked says that the reader is asked for more: the caller is done with what it got
// before.
func (d *doubt) asked(nothing bool) {
	d.idle = nothing
	if d.newer {
		d.exists = false
	}
}

// gave says that all of a message was handed out.
func (d *doubt) gave(stamp uint64) {
	if d.exists && !d.begun.IsZero() && stamp-d.stamp < stampRange {
		d.newer = true
	}
}

// certain returns the moment before which nothing was settled that may come again,
// apart from what the reader holds; room says that the server may give more.
func (d *doubt) certain(now time.Time, room bool) time.Time {
	if d.exists && d.idle && room && !d.begun.IsZero() && now.Sub(d.begun) >= standby {
		d.exists = false
	}
	if d.exists {
		return d.since
	}
	return now
}

// Certain implements broker.Late.
func (r *reader) Certain() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	certain := r.doubt.certain(now, len(r.window.parcels) < r.b.cfg.Prefetch)
	for _, p := range r.known.parcels {
		if p.begun && !p.acked && p.since.Before(certain) {
			certain = p.since
		}
	}
	return certain
}
