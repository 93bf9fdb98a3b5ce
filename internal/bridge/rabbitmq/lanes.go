package rabbitmq

import "slices"

// lanes holds messages until they may be submitted: of each key only the first one
// that is not settled. Messages without a key have no order.
type lanes struct {
	ready []*message
	// behind has an entry for each key of which a message is ready or under way: the
	// later ones, in the order of their arrival.
	behind map[string][]*message
	count  int // messages that were added and are not done
}

func newLanes() *lanes { return &lanes{behind: make(map[string][]*message)} }

// add puts a message behind all earlier ones of its key.
func (l *lanes) add(m *message) {
	l.count++
	if m.key == "" {
		l.ready = append(l.ready, m)
		return
	}
	line, busy := l.behind[m.key]
	if busy {
		l.behind[m.key] = append(line, m)
		return
	}
	l.behind[m.key] = nil
	l.ready = append(l.ready, m)
}

// take returns messages that may be submitted, at most so many and about so many
// bytes. Each is to be given to done or again.
func (l *lanes) take(most, bytes int) []*message {
	n := 0
	for n < min(most, len(l.ready)) && (n == 0 || bytes > 0) {
		bytes -= l.ready[n].size
		n++
	}
	batch := l.ready[:n:n]
	l.ready = l.ready[n:]
	return batch
}

// done lets the next message of the key follow.
func (l *lanes) done(m *message) {
	l.count--
	if m.key == "" {
		return
	}
	line := l.behind[m.key]
	if len(line) == 0 {
		delete(l.behind, m.key)
		return
	}
	l.ready = append(l.ready, line[0])
	l.behind[m.key] = line[1:]
}

// again puts messages that were taken back in front.
func (l *lanes) again(batch []*message) {
	if len(batch) > 0 {
		l.ready = append(slices.Clip(batch), l.ready...)
	}
}
