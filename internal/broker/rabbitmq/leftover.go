package rabbitmq

import "sync"

// leftover is what readers of a log knew, when they ended, of messages of which
// some tasks were settled and others not: the server gives such a message again as
// a whole, and the next reader hands out only what is left. It is a memory that
// may be lost; what comes again because of that is known by its marks.
type leftover struct {
	mu   sync.Mutex
	done map[identity]done
}

// maxLeftover bounds what is remembered for a log.
const maxLeftover = 1 << 14

// put remembers which tasks of a message were settled.
func (l *leftover) put(who identity, settled done) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, known := l.done[who]
	if !known && len(l.done) >= maxLeftover {
		return
	}
	if l.done == nil {
		l.done = make(map[identity]done)
	}
	now := append(done(nil), settled...)
	for i := range min(len(before), len(now)) {
		now[i] |= before[i]
	}
	l.done[who] = now
}

// claim returns what is known of a message with so many tasks, and forgets it.
func (l *leftover) claim(who identity, tasks int) done {
	l.mu.Lock()
	defer l.mu.Unlock()
	settled, known := l.done[who]
	if !known {
		return nil
	}
	delete(l.done, who)
	if !settled.fits(tasks) {
		return nil
	}
	return settled
}

// each calls f for everything that is remembered.
func (l *leftover) each(f func(who identity, settled done)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for who, settled := range l.done {
		f(who, settled)
	}
}
