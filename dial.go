package fenfa

import (
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// DialOption sets something of a Client in Dial.
type DialOption func(*dialConfig)

type dialConfig struct {
	dialTimeout   time.Duration
	submitTimeout time.Duration
	linger        time.Duration
	maxBatch      int
	token         Secret
	tokenFile     *tokenFile // instead of the token
	tls           *tls.Config
	tlsFiles      *TLSFiles // instead of tls
	logger        *slog.Logger
	submits       []SubmitMiddleware
	ahead         func() time.Duration // of the machine's clock; nil: it is not
	transport     []grpc.DialOption
}

// Limits of options.
const (
	mostBatch  = 10_000
	mostLinger = time.Second
)

func newDialConfig(opts []DialOption) (dialConfig, error) {
	cfg := dialConfig{
		dialTimeout:   5 * time.Second,
		submitTimeout: 30 * time.Second,
		maxBatch:      512,
		logger:        slog.New(slog.DiscardHandler),
	}
	for _, opt := range opts {
		opt(&cfg)
	}
	switch {
	case cfg.dialTimeout <= 0:
		return cfg, errorf(CodeInvalidArgument, "dial timeout %v: want more than 0", cfg.dialTimeout).withField("dial_timeout")
	case cfg.submitTimeout <= 0:
		return cfg, errorf(CodeInvalidArgument, "submit timeout %v: want more than 0", cfg.submitTimeout).withField("submit_timeout")
	case cfg.linger < 0 || cfg.linger > mostLinger:
		return cfg, errorf(CodeInvalidArgument, "linger %v is out of range: want 0 to %v", cfg.linger, mostLinger).withField("linger")
	case cfg.maxBatch < 1 || cfg.maxBatch > mostBatch:
		return cfg, errorf(CodeInvalidArgument, "max batch %d is out of range: want 1 to %d", cfg.maxBatch, mostBatch).withField("max_batch")
	}
	return cfg, nil
}

// WithDialTimeout sets how long a call, and a Submit before the first connection
// was made, waits for a connection. Default 5 s.
func WithDialTimeout(d time.Duration) DialOption {
	return func(c *dialConfig) { c.dialTimeout = d }
}

// WithSubmitTimeout sets how long a Submit waits for its confirm at most, while
// the client reconnects and sends again, unless its context ends before. It is
// checked about four times within its length. Default 30 s.
func WithSubmitTimeout(d time.Duration) DialOption {
	return func(c *dialConfig) { c.submitTimeout = d }
}

// WithLinger makes a batch of submits wait for more tasks, at most for d from its
// first one. The default, 0, sends at once and gathers only while confirms are
// under way: batches then grow with the load by themselves, and a single submit
// never waits.
func WithLinger(d time.Duration) DialOption { return func(c *dialConfig) { c.linger = d } }

// WithMaxBatch sets how many tasks one batch of submits holds at most: 1 to
// 10,000, default 512.
func WithMaxBatch(n int) DialOption { return func(c *dialConfig) { c.maxBatch = n } }

// WithTLS encrypts the connection. Without it the connection is plain text.
func WithTLS(config *tls.Config) DialOption { return func(c *dialConfig) { c.tls = config } }

// WithLogger sets where the client logs. By default it does not.
func WithLogger(logger *slog.Logger) DialOption {
	return func(c *dialConfig) {
		if logger != nil {
			c.logger = logger
		}
	}
}

// WithClockAhead lets delays count by a clock that is ahead of this machine's, in tests
// that put the clock of their node forward. A client of package fenfatest has it set.
// Everything else goes by the machine's clock.
func WithClockAhead(ahead func() time.Duration) DialOption {
	return func(c *dialConfig) { c.ahead = ahead }
}

// Sizes of the connection's buffers, in bytes: large enough that a batch of
// submits or a round of leases takes few system calls.
const (
	streamWindow = 4 << 20
	connWindow   = 16 << 20
	ioBuffer     = 128 << 10
	maxMessage   = 64 << 20
)

// connect makes a connection, without waiting for it. A Client has one for its
// calls and each Worker one of its own, so that heartbeats never queue behind
// submits.
func (cfg *dialConfig) connect(addr string) (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if cfg.tls != nil {
		creds = credentials.NewTLS(cfg.tls)
	}
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithReadBufferSize(ioBuffer),
		grpc.WithWriteBufferSize(ioBuffer),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithIdleTimeout(0),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: backoffBase, Multiplier: 1.6, Jitter: 0.3, MaxDelay: backoffConnect},
			MinConnectTimeout: 3 * time.Second,
		}),
	}
	switch {
	case cfg.tokenFile != nil:
		opts = append(opts, grpc.WithPerRPCCredentials(bearer{cfg.tokenFile.read}))
	case cfg.token != (Secret{}):
		opts = append(opts, grpc.WithPerRPCCredentials(bearer{func() (Secret, error) { return cfg.token, nil }}))
	}
	conn, err := grpc.NewClient("passthrough:///"+addr, append(opts, cfg.transport...)...)
	if err != nil {
		return nil, errorf(CodeInvalidArgument, "dial %q: %w", addr, err).withField("addr")
	}
	return conn, nil
}

func checkAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err == nil && (host == "" || port == "") {
		err = &net.AddrError{Err: "host or port is missing", Addr: addr}
	}
	if err != nil {
		return errorf(CodeInvalidArgument, "node address %q: want host:port, like 127.0.0.1:7400: %w", clip(addr, 256), err).withField("addr")
	}
	return nil
}
