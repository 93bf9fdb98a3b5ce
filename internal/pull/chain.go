package pull

// chain is a batch of tasks of one key, which its worker does in their order. It ends
// with the first that is not done: those behind it went back, and are handed out again
// behind that one.
type chain struct {
	next  int // the first task without an outcome
	count int
}

// advance goes on behind a task that has its outcome. goesOn says that it is done.
// The caller holds mu.
func (s *session) advance(p place, h *held, goesOn bool) {
	if !goesOn {
		s.cut(p, h)
		return
	}
	h.chain.next = p.index + 1
	if next := s.head(p, h); next != nil {
		next.keep(s.pool.cfg.Clock.Now().Add(next.timeout + grace))
	}
}

// head is the first task without an outcome in the batch of a task; nil: there is none.
// The caller holds mu.
func (s *session) head(p place, h *held) *held {
	if h.chain == nil {
		return h
	}
	return s.open[place{p.ref, h.chain.next}]
}

// cut forgets what comes behind a task in its batch. The caller holds mu.
func (s *session) cut(p place, h *held) {
	for i := p.index + 1; i < h.chain.count; i++ {
		at := place{p.ref, i}
		if behind := s.open[at]; behind != nil {
			if behind.by != nil {
				behind.by.takenBack(behind.at)
			}
			delete(s.open, at)
		}
	}
}
