package server

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// bounded accepts connections up to a number, and closes those beyond at once: a
// caller that is told so can go to another node, one that hangs cannot.
type bounded struct {
	net.Listener
	most    int64
	open    atomic.Int64
	gauge   prometheus.Gauge
	refused prometheus.Counter
}

// front is what serves from a listener: bounded, and encrypted where there is a
// configuration for that.
func (s *Server) front(l net.Listener, name string, config *tls.Config) net.Listener {
	var out net.Listener = &bounded{
		Listener: l, most: int64(s.cfg.MaxConnections),
		gauge: s.metrics.connections.WithLabelValues(name), refused: s.metrics.refused.WithLabelValues(name),
	}
	if config != nil {
		out = tls.NewListener(out, config)
	}
	return out
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.open.Add(1) > b.most {
			b.open.Add(-1)
			b.refused.Inc()
			_ = conn.Close() // It is refused; there is nobody to tell.
			continue
		}
		b.gauge.Inc()
		return &boundedConn{Conn: conn, of: b}, nil
	}
}

// boundedConn gives its place back when it is closed.
type boundedConn struct {
	net.Conn
	of     *bounded
	closed sync.Once
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	c.closed.Do(func() {
		c.of.open.Add(-1)
		c.of.gauge.Dec()
	})
	return c.Conn.Close()
}
