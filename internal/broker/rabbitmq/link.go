package rabbitmq

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Bounds of a connection.
const (
	frameSize  = 128 << 10
	channelMax = 2047
	closeGrace = time.Second // for the goodbye
)

// link keeps one connection to the cluster: it connects, waits until the
// connection breaks, and connects again, to whichever endpoint answers.
type link struct {
	b    *Broker
	name string // of the connection, as the server shows it

	mu      sync.Mutex
	now     *session      // nil while there is none
	changed chan struct{} // closed when now changes
	failure error         // why the last attempt to connect failed
}

// session is one connection, from its handshake to its end.
type session struct {
	conn     *amqp.Connection
	stream   *stream // below conn
	endpoint string
	down     chan struct{} // closed when the connection has ended
	cause    error         // why; set before down is closed
	blocked  atomic.Pointer[block]
}

// block says that the server takes no messages from a connection.
type block struct {
	reason string
	over   chan struct{} // closed when it does again
}

func newLink(b *Broker, name string) *link {
	return &link{b: b, name: name, changed: make(chan struct{})}
}

// run keeps the connection until ctx ends.
func (l *link) run(ctx context.Context) {
	delay := l.b.cfg.RetryBase
	for ctx.Err() == nil {
		s, err := l.dial(ctx)
		if err != nil {
			l.set(nil, err)
			if ctx.Err() == nil {
				l.b.cfg.Logger.Log(ctx, l.b.away.failed(), "no connection to RabbitMQ", "link", l.name, "error", err)
			}
			l.b.metrics.dialFailures.Inc()
			if !pause(ctx, jitter(delay)) {
				return
			}
			delay = min(2*delay, l.b.cfg.RetryMax)
			continue
		}
		delay = l.b.cfg.RetryBase
		l.b.metrics.connects.Inc()
		l.set(s, nil)
		l.b.connected(ctx)
		l.watch(ctx, s)
		if ctx.Err() == nil {
			l.b.cfg.Logger.Log(ctx, l.b.away.failed(), "connection to RabbitMQ was lost", "link", l.name, "endpoint", s.endpoint, "error", s.cause)
		}
	}
}

func (l *link) set(s *session, failure error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now, l.failure = s, failure
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *link) state() (s *session, changed <-chan struct{}, failure error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now, l.changed, l.failure
}

// session returns the connection, and waits for it until ctx ends.
func (l *link) session(ctx context.Context) (*session, error) {
	for {
		s, changed, failure := l.state()
		if s != nil {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if failure == nil {
				failure = errors.New("not connected yet")
			}
			return nil, fmt.Errorf("there is no connection: %w: %w", failure, context.Cause(ctx))
		}
	}
}

// watch follows a connection until it ends, and ends it when ctx does.
func (l *link) watch(ctx context.Context, s *session) {
	closed := s.conn.NotifyClose(make(chan *amqp.Error, 1))
	blocks := s.conn.NotifyBlocked(make(chan amqp.Blocking, 16))
	ending := ctx.Done()
	for {
		select {
		case b, ok := <-blocks:
			if !ok {
				blocks = nil
				continue
			}
			l.block(ctx, s, b)
		case cause := <-closed:
			s.cause = amqp.ErrClosed
			if cause != nil {
				s.cause = cause
			}
			l.set(nil, s.cause)
			l.block(ctx, s, amqp.Blocking{})
			close(s.down)
			return
		case <-ending:
			ending = nil
			// The answer tells nothing: the connection is gone afterwards anyway.
			_ = s.conn.CloseDeadline(time.Now().Add(closeGrace))
		}
	}
}

func (l *link) block(ctx context.Context, s *session, b amqp.Blocking) {
	switch now := s.blocked.Load(); {
	case b.Active && now == nil:
		l.b.cfg.Logger.Log(ctx, l.b.alarm.failed(), "RabbitMQ takes no messages", "link", l.name, "endpoint", s.endpoint, "reason", b.Reason)
		l.b.metrics.blocked.Inc()
		s.blocked.Store(&block{reason: b.Reason, over: make(chan struct{})})
		l.b.blocks.Add(1)
	case !b.Active && now != nil:
		l.b.metrics.blocked.Dec()
		s.blocked.Store(nil)
		l.b.blocks.Add(-1)
		close(now.over)
		if l.b.blocked() != nil {
			return
		}
		if was, ok := l.b.alarm.end(); ok {
			l.b.cfg.Logger.InfoContext(ctx, "RabbitMQ takes messages again", was...)
		}
	}
}

// dial connects to the first endpoint that answers, beginning anywhere.
func (l *link) dial(ctx context.Context) (*session, error) {
	endpoints := l.b.cfg.Endpoints
	first := rand.IntN(len(endpoints))
	var errs []error
	for i := range endpoints {
		endpoint := endpoints[(first+i)%len(endpoints)]
		s, err := l.connect(ctx, endpoint)
		if err == nil {
			return s, nil
		}
		errs = append(errs, fmt.Errorf("connect to RabbitMQ at %s: %w", endpoint, explain(err)))
	}
	return nil, errors.Join(errs...)
}

func (l *link) connect(ctx context.Context, endpoint string) (*session, error) {
	cfg := &l.b.cfg
	ctx, cancel := context.WithTimeout(ctx, min(cfg.Timeout, handshakeTimeout))
	defer cancel()
	conn, err := dialTCP(ctx, endpoint, cfg.TLS)
	if err != nil {
		return nil, err
	}
	const silent = 3 // heartbeats
	gathering := newStream(conn, silent*cfg.Heartbeat)
	// The client cannot be cancelled, but what it waits for can be cut off.
	stop := context.AfterFunc(ctx, func() { _ = gathering.Close() })
	defer stop()
	c, err := amqp.Open(gathering, amqp.Config{
		SASL: cfg.credentials(), Vhost: cfg.VHost, ChannelMax: channelMax, FrameSize: frameSize, Heartbeat: cfg.Heartbeat, Locale: "en_US",
		Properties: amqp.Table{"product": "fenfa", "connection_name": cfg.Prefix + " " + l.name},
	})
	if err != nil {
		_ = gathering.Close()
		return nil, err
	}
	return &session{conn: c, stream: gathering, endpoint: endpoint, down: make(chan struct{})}, nil
}

// handshakeTimeout bounds one attempt to connect to one endpoint.
const handshakeTimeout = 5 * time.Second

func dialTCP(ctx context.Context, endpoint string, secure *tls.Config) (net.Conn, error) {
	dialer := net.Dialer{}
	conn, err := dialer.DialContext(ctx, "tcp", endpoint)
	if err != nil {
		return nil, err
	}
	if secure == nil {
		return conn, nil
	}
	if secure.ServerName == "" {
		host, _, _ := net.SplitHostPort(endpoint)
		secure = secure.Clone()
		secure.ServerName = host
	}
	client := tls.Client(conn, secure)
	if err := client.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("set up TLS: %w", err)
	}
	return client, nil
}

func (c *Config) credentials() []amqp.Authentication {
	if c.User == "" && c.TLS != nil {
		return []amqp.Authentication{&amqp.ExternalAuth{}}
	}
	return []amqp.Authentication{&amqp.PlainAuth{Username: c.User, Password: c.Password.Reveal()}}
}

// pause waits, and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// jitter spreads a delay over half to one and a half of it.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d)
}
