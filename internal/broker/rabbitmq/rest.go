package rabbitmq

import "time"

// A server gives up a connection that takes nothing for half a minute, and sends all
// that was on its way again over the next one. A reader whose tasks nobody takes
// therefore rests before that: it ends its connection, so that the server has
// everything back, hands out what it has received, and subscribes again when it is
// asked for more. A message that was handed out keeps its positions meanwhile and is
// acked when it comes again.

// full reports whether too much waits to be handed out.
func (r *reader) full() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ahead > r.b.cfg.ReadAhead
}

// stops ends reading of the connection for a while, if it is the reader's own. It
// reports whether that is new.
func (r *reader) stops(s *stream) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.alone || r.stopped != nil {
		return false
	}
	s.stopReading()
	r.stopped = s
	return true
}

// rest ends the connection and waits until more is asked for, or the reader ends. It
// reports false, and does nothing, when the connection is read again.
func (r *reader) rest(sub *subscription) bool {
	if !r.giveBack() {
		return false
	}
	r.unlink()
	// Without a goodbye: its answer would be behind all that is on its way.
	_ = sub.session.stream.Close()
	r.alone = false
	select {
	case <-r.needed:
		r.moves()
	case <-r.over:
	}
	return true
}

// giveBack notes that the server has everything again that was not acked.
func (r *reader) giveBack() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped == nil {
		return false
	}
	select {
	case <-r.needed: // of an earlier rest
	default:
	}
	r.resting, r.stopped = true, nil
	r.window, r.told, r.open = window{}, 0, 0
	r.known.keep(func(p *parcel) bool {
		p.tag = 0
		if p.settled() && !p.acked {
			r.open--
		}
		return !p.acked
	})
	r.doubt.lost(time.Now())
	return true
}
