package dispatch

// line is a list of waiters, first come first. A waiter stands in one at most.
type line struct {
	first, last *waiter
	count       int
}

func (l *line) push(w *waiter) {
	w.list, w.prev, w.next = l, l.last, nil
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
	l.count++
}

// unlink takes the waiter out of its line, if it stands in one.
func (w *waiter) unlink() {
	l := w.list
	if l == nil {
		return
	}
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	l.count--
	w.list, w.prev, w.next = nil, nil, nil
}
