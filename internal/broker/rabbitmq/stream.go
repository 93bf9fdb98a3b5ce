package rabbitmq

import (
	"net"
	"sync"
	"time"
)

// maxPending bounds what waits to be written to a connection; beyond it, writers
// wait.
const maxPending = 1 << 20

// stream is a connection that gathers small writes: the AMQP client flushes after
// every message, and a system call for each would be most of its cost. A write
// returns when it is queued, and waits only while too much is queued. Order is
// kept.
//
// Reading can be stopped for a while: the client itself takes in whatever comes.
type stream struct {
	net.Conn
	silence time.Duration // how long the other side may be silent

	gate   sync.Mutex
	closed chan struct{} // closed when reading goes on; nil: it is not stopped

	mu      sync.Mutex
	work    sync.Cond // there is something to write, or the end
	room    sync.Cond // something was written, or the end
	pending []byte
	err     error // why nothing is written any more

	done chan struct{} // closed when the writer has ended
}

func newStream(conn net.Conn, silence time.Duration) *stream {
	s := &stream{Conn: conn, silence: silence, done: make(chan struct{})}
	s.work.L, s.room.L = &s.mu, &s.mu
	go s.write()
	return s
}

// Write implements net.Conn.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && len(s.pending) >= maxPending {
		s.room.Wait()
	}
	if s.err != nil {
		return 0, s.err
	}
	if len(s.pending) == 0 {
		s.work.Signal()
	}
	s.pending = append(s.pending, p...)
	return len(p), nil
}

// Read implements net.Conn.
func (s *stream) Read(p []byte) (int, error) {
	s.gate.Lock()
	closed := s.closed
	s.gate.Unlock()
	if closed != nil {
		<-closed
		// What is to be read came long ago: the silence was ours.
		if err := s.SetReadDeadline(time.Now().Add(s.silence)); err != nil {
			return 0, err
		}
	}
	return s.Conn.Read(p)
}

// stopReading lets the next Read wait until resumeReading.
func (s *stream) stopReading() {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.closed == nil {
		s.closed = make(chan struct{})
	}
}

func (s *stream) resumeReading() {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.closed != nil {
		close(s.closed)
		s.closed = nil
	}
}

// Close implements net.Conn. What was queued and not written is dropped.
func (s *stream) Close() error {
	s.fail(net.ErrClosed)
	s.resumeReading()
	err := s.Conn.Close()
	<-s.done
	return err
}

func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.work.Signal()
	s.room.Broadcast()
}

// write is the one goroutine that writes; Close waits for it.
func (s *stream) write() {
	defer close(s.done)
	var spare []byte
	for {
		batch := s.take(spare)
		if batch == nil {
			return
		}
		if _, err := s.Conn.Write(batch); err != nil {
			s.fail(err)
			return
		}
		spare = batch[:0]
	}
}

// take returns what is queued and leaves spare in its place; nil is the end.
func (s *stream) take(spare []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && len(s.pending) == 0 {
		s.work.Wait()
	}
	if s.err != nil {
		return nil
	}
	batch := s.pending
	s.pending = spare
	s.room.Broadcast()
	return batch
}
