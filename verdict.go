package fenfa

import (
	"slices"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// verdict takes what the node says of outcomes.
func (s *session) verdict(v *fenfav1.Verdict) {
	s.mu.Lock()
	key := keyOf(v.GetLease())
	l := s.leases[key]
	if l == nil {
		s.mu.Unlock()
		return
	}
	events := s.judge(l, v)
	if l.lost.Load() || l.complete() {
		delete(s.leases, key)
		if l.slots > 0 {
			s.freed(l, l.slots, time.Now())
		}
		l.release(errLeaseLost)
		s.checkEmpty()
	}
	s.mu.Unlock()
	for _, e := range events {
		s.worker.emit(e)
	}
}

// judge applies a verdict to its lease. The lock is held.
func (s *session) judge(l *lease, v *fenfav1.Verdict) []Event {
	switch v.GetKind() {
	case fenfav1.VerdictKind_VERDICT_KIND_COMMITTED:
		s.useful = true
		l.settled += int(v.GetCount())
	case fenfav1.VerdictKind_VERDICT_KIND_STALE:
		l.lose()
		return []Event{s.event(EventLeaseLost, l, v, errLeaseLost)}
	case fenfav1.VerdictKind_VERDICT_KIND_LATE:
		l.settled += int(v.GetCount())
		return []Event{s.event(EventLeaseLost, l, v, errLeaseLost)}
	case fenfav1.VerdictKind_VERDICT_KIND_REFUSED:
		l.settled += int(v.GetCount())
		if l.ordered {
			l.lose() // The node took back what follows the refused task.
		}
		s.worker.client.cfg.logger.Warn("outcome refused", "queue", l.wire.GetQueue(), "worker", s.worker.cfg.id, "error", v.GetError())
		return []Event{s.event(EventRefused, l, v, errorf(CodeInvalidArgument, "the node refused the outcome: %s", v.GetError()))}
	case fenfav1.VerdictKind_VERDICT_KIND_CONFLICT:
		l.why = v.GetError()
		if l.ordered {
			return s.conflictOrdered(l, v)
		}
		return s.conflictUnordered(l, v)
	}
	return nil
}

func (s *session) event(kind EventKind, l *lease, v *fenfav1.Verdict, err error) Event {
	e := Event{Kind: kind, Node: s.node, Queue: l.wire.GetQueue(), Err: err}
	if i := int(v.GetFirst()); i < len(l.first) {
		e.TaskID, _ = parseID(l.wire.GetTasks()[i].GetId())
	}
	return e
}

// conflictOrdered makes the lease's runner go back to the task of the conflict.
// One that is not sent yet cannot conflict: that verdict is about an earlier run.
func (s *session) conflictOrdered(l *lease, v *fenfav1.Verdict) []Event {
	first := int(v.GetFirst())
	l.heard++
	if first >= l.sent {
		return nil
	}
	l.countConflict(first)
	// The sender may still be reading the outcomes behind the conflict.
	l.outcomes = slices.Clone(l.outcomes)
	l.sent, l.finished, l.end = first, first, len(l.first)
	l.again = v
	s.retake(l, 1-l.slots)
	if !l.running {
		l.running = true
		s.enqueue(l.job())
	}
	return []Event{s.event(EventConflict, l, v, nil)}
}

// conflictUnordered runs the tasks of the conflict again, each by itself.
func (s *session) conflictUnordered(l *lease, v *fenfav1.Verdict) []Event {
	first, end := int(v.GetFirst()), int(v.GetFirst()+v.GetCount())
	if end > len(l.first) || first >= end {
		return nil
	}
	if l.redo == nil {
		l.redo = make(map[int]*view)
	}
	for i := first; i < end; i++ {
		l.countConflict(i)
		l.outcomes[i] = nil
		l.redo[i] = newView(s.worker.client, l.wire.GetTasks()[i].GetKey(), v.GetRecords(), v.GetRecordsComplete())
	}
	s.retake(l, end-first)
	s.enqueue(job{lease: l, from: first, to: end})
	return []Event{s.event(EventConflict, l, v, nil)}
}

func (l *lease) countConflict(i int) {
	if l.conflicts == nil {
		l.conflicts = make(map[int]int)
	}
	l.conflicts[i]++
	l.clashed.Store(true)
}

// complete reports whether nothing more is to come: every outcome has its
// verdict.
func (l *lease) complete() bool {
	return l.settled >= l.end && !l.running
}
