package dispatch

import "slices"

// seat is a worker's place in a pool. It sits in a tier, or stands aside while
// the worker is ejected. All of it is under Dispatcher.mu.
type seat struct {
	member *member
	pool   *pool
	tier   *tier
	at     int // index in the tier, or -1 while it stands aside
	among  int // index in the session's sitting, while it sits
	nth    int // index in the member's seats
}

// arrange lets the worker sit down or stand aside.
func (s *seat) arrange() {
	if s.member.ejected() && !s.pool.spare {
		s.stepAside()
	} else {
		s.sit()
	}
}

// sit puts the worker into the tier.
func (s *seat) sit() {
	if s.at >= 0 {
		return
	}
	session := s.member.session
	s.at, s.among = len(s.tier.seats), len(session.sitting)
	s.tier.seats = append(s.tier.seats, s)
	session.sitting = append(session.sitting, s)
	s.tier.pool.Add(&session.worker, s.member.weight)
	s.pool.unsettle()
	s.pool.queue.unsettled = true
}

// stepAside takes the worker out of the tier, and gives back what it held.
func (s *seat) stepAside() {
	if s.at < 0 {
		return
	}
	s.leaveSession()
	t := s.tier
	t.pool.Remove(s.at)
	t.seats = slices.Delete(t.seats, s.at, s.at+1)
	for i := s.at; i < len(t.seats); i++ {
		t.seats[i].at = i
	}
	s.at = -1
	s.pool.unsettle()
	for w := s.pool.woken.first; w != nil; {
		next := w.next
		if w.held == s.member {
			w.drop()
			// The slot is free for the worker's other queues.
			for _, m := range s.member.session.members {
				m.queue.unsettled = true
			}
		}
		w = next
	}
}

// leaveSession takes the seat out of those in which slots in flight are counted.
func (s *seat) leaveSession() {
	if s.at < 0 {
		return
	}
	sitting := s.member.session.sitting
	last := sitting[len(sitting)-1]
	sitting[s.among], last.among = last, s.among
	s.member.session.sitting = slices.Delete(sitting, len(sitting)-1, len(sitting))
}

// leaveMember takes the seat out of those of the member.
func (s *seat) leaveMember() {
	seats := s.member.seats
	last := seats[len(seats)-1]
	seats[s.nth], last.nth = last, s.nth
	s.member.seats = slices.Delete(seats, len(seats)-1, len(seats))
}
