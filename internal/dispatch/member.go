package dispatch

import (
	"slices"
	"strings"
	"time"
)

// member is a session's part in one of its queues. All of it is under
// Dispatcher.mu.
type member struct {
	session  *Session
	queue    *queue
	seats    []*seat // one for each pool whose placement the worker meets
	inFlight int     // slots taken by the queue
	held     int     // slots held for its woken partitions
	turn     float64 // when it is due among the session's queues of equal load

	weight    float64       // what it counts for now
	slowUntil time.Duration // end of the slow start after an ejection; 0: none

	outcomes window
	ejection ejection
}

// member returns the session's part in the queue, or nil.
func (s *Session) member(queue string) *member {
	if len(s.members) == 1 && s.members[0].queue.name == queue {
		return s.members[0]
	}
	i, ok := slices.BinarySearchFunc(s.members, queue, func(m *member, name string) int { return strings.Compare(m.queue.name, name) })
	if !ok {
		return nil
	}
	return s.members[i]
}

// take moves n free slots to those in flight. The caller holds mu.
func (m *member) take(n int) {
	m.inFlight += n
	m.session.adjust(n)
}

// give moves up to n slots in flight back to the free ones. The caller holds mu.
func (m *member) give(n int) {
	n = min(n, m.inFlight)
	m.inFlight -= n
	m.session.adjust(-n)
}

// adjust counts slots in flight, in all pools that the worker sits in.
func (s *Session) adjust(n int) {
	s.worker.InFlight += n
	s.wanted = max(0, s.wanted-max(0, n))
	s.refresh()
	for _, seat := range s.sitting {
		seat.tier.pool.Adjust(n)
	}
}

// observe takes note of how tasks went.
func (m *member) observe(second uint64, tasks, failed int, took time.Duration) {
	m.outcomes.add(second, tasks, failed)
	mean := took
	if tasks > 1 {
		mean /= time.Duration(tasks)
	}
	for _, s := range m.seats {
		if s.at >= 0 {
			s.tier.pool.Observe(s.at, mean)
		}
	}
}

// latency is how long a task will probably take, 0 before the first one.
func (m *member) latency() time.Duration {
	longest := time.Duration(0)
	for _, s := range m.seats {
		if s.at >= 0 {
			longest = max(longest, s.tier.pool.Latency(s.at))
		}
	}
	return longest
}
