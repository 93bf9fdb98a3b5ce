package dispatch

import "github.com/fenfa/fenfa/internal/task"

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

// reserve says how many tasks of a key may come in the lease for which a partition just
// got a slot of a worker that pulls, and sets as many aside of what it waits for. The
// caller holds mu.
func (s *Session) reserve(part int) (batch int) {
	if s.hello.Batch <= 1 {
		return s.hello.Batch
	}
	s.wanted += s.reserved[part]
	more := min(s.hello.Batch-1, s.wanted)
	if s.reserved == nil {
		s.reserved = make(map[int]int)
	}
	s.reserved[part] = more
	s.wanted -= more
	s.refresh()
	return 1 + more
}

// fulfil takes what was set aside for a lease and is not in it back to what the worker
// waits for.
func (s *Session) fulfil(l *task.Lease) {
	if !s.hello.Pull || s.hello.Batch <= 1 {
		return
	}
	used := 0
	if l.Ordered {
		used = len(l.Tasks) - 1
	}
	s.d.change(s, func() {
		s.wanted += max(0, s.reserved[l.Partition]-used)
		delete(s.reserved, l.Partition)
	})
}
