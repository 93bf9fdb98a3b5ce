package dispatch

// Want says that a worker that pulls waits for n more tasks. As long as it waits
// for any it counts as heard.
func (s *Session) Want(n int) {
	s.Heard()
	s.d.change(s, func() { s.wanted += max(0, n) })
}

// Unwant takes back up to n of the tasks that a worker that pulls waits for, and
// returns how many. What is missing was assigned already, and is on its way.
func (s *Session) Unwant(n int) (took int) {
	s.Heard()
	s.d.change(s, func() {
		took = min(max(0, n), s.wanted)
		s.wanted -= took
	})
	return took
}

// InFlight is how many of its slots are taken.
func (s *Session) InFlight() int {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	return s.worker.InFlight
}
