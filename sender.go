package fenfa

import (
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// maxSend is what a message of outcomes is filled up to, in bytes. A single
// outcome may be larger.
const maxSend = 1 << 20

// collect makes a message of what waits to be sent, or nil.
func (s *session) collect() *fenfav1.WorkRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	var outcomes []*fenfav1.LeaseOutcomes
	room := maxSend
	for len(s.list) > 0 {
		l := s.list[0]
		first, run, bytes, more := l.nextRun(room, len(outcomes) == 0)
		if len(run) > 0 && !l.lost.Load() {
			room -= bytes
			outcomes = append(outcomes, &fenfav1.LeaseOutcomes{Lease: l.wire.GetRef(), First: clampUint32(first), Outcomes: run})
		}
		if more && len(run) == 0 {
			break // The message is full.
		}
		if !more {
			l.listed = false
			s.list[0] = nil
			s.list = s.list[1:]
		}
	}
	if len(outcomes) == 0 {
		return nil
	}
	return &fenfav1.WorkRequest{Outcomes: outcomes}
}

func (s *session) send(req *fenfav1.WorkRequest) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	return s.stream.Send(req)
}

// sender sends outcomes: everything that finished while the message before was
// on its way out goes into one.
func (s *session) sender() {
	for {
		select {
		case <-s.wake:
		case <-s.broken:
			return
		}
		for req := s.collect(); req != nil; req = s.collect() {
			if err := s.send(req); err != nil {
				return // The receiver knows why.
			}
		}
	}
}

// heart sends heartbeats, whatever handlers and the sender do.
func (s *session) heart(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := s.send(&fenfav1.WorkRequest{Heartbeat: true}); err != nil {
				return // The receiver knows why.
			}
		case <-s.broken:
			return
		}
	}
}
