package node

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/fenfa/fenfa/internal/lifecycle"
	"github.com/fenfa/fenfa/internal/server"
)

// starting answers over HTTP until the node is up: that it lives, and why it is not
// ready. It borrows the listener, which the server takes over.
type starting struct {
	listener *net.TCPListener
	http     *http.Server
	serving  sync.WaitGroup
	once     sync.Once
}

// borrowed is a listener that is closed without an end of what it was made of.
type borrowed struct{ *net.TCPListener }

// Close ends Accept, and leaves the port as it is.
func (b borrowed) Close() error { return b.SetDeadline(time.Unix(1, 0)) }

// named makes a part say in /readyz when it is being started.
func (n *Node) named(p lifecycle.Part) lifecycle.Part {
	start := p.Start
	p.Start = func(ctx context.Context) error {
		n.health.start(p.Name)
		return start(ctx)
	}
	return p
}

// answer begins to answer over HTTP, where the node listens on a port.
func (n *Node) answer(context.Context) error {
	l, ok := n.http.(*net.TCPListener)
	if !ok {
		return nil
	}
	s := &starting{listener: l, http: server.Starting(n.log, n.startingProblems)}
	s.serving.Go(func() {
		if err := s.http.Serve(n.encrypted(borrowed{l})); !errors.Is(err, http.ErrServerClosed) {
			n.log.Warn("nobody answers over http until the node is ready", "error", err)
		}
	})
	n.starting = s
	return nil
}

// endTimeout is how long connections over which nothing was asked yet are waited for.
const endTimeout = time.Second

// end lets requests under way finish and gives the listener back. It may be called
// again.
func (s *starting) end(ctx context.Context) (err error) {
	if s == nil {
		return nil
	}
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, endTimeout)
		defer cancel()
		if s.http.Shutdown(ctx) != nil {
			err = s.http.Close()
		}
		s.serving.Wait()
		err = errors.Join(err, s.listener.SetDeadline(time.Time{}))
	})
	return err
}

// startingProblems says why the node is not ready: tokens are not known yet, so that
// where they are required nobody is told more than that it starts.
func (n *Node) startingProblems() []string {
	if n.opts.Config.Auth.Required {
		return []string{"the node is starting"}
	}
	return n.health.Problems()
}
