package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"

	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/activity"
	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/pull"
)

// DefaultMaxRequest is the most bytes of a gRPC message or an HTTP body.
const DefaultMaxRequest = 16 << 20

// Config is what a Server needs.
type Config struct {
	Engine  Engine
	Workers *dispatch.Dispatcher
	GRPC    net.Listener // closed by Close
	HTTP    net.Listener // closed by Close
	GRPCTLS *tls.Config  // nil: connections are not encrypted
	HTTPTLS *tls.Config  // nil: connections are not encrypted
	Access  *access.Book // knows the tokens; nil: every caller may do everything
	// Activity keeps who has changed what; nil: nobody does.
	Activity *activity.Recorder

	Clock      clock.Clock           // default: the machine's
	Logger     *slog.Logger          // default: none
	Registerer prometheus.Registerer // default: no metrics of its own
	Gatherer   prometheus.Gatherer   // what /metrics shows; default: nothing

	Node       string // name of this node
	Version    string
	Partitions int
	Durability string // what a confirm means: "fsync", "quorum", "replicated" or "everysec"
	MaxRequest int    // bytes of a message or body; default DefaultMaxRequest

	MaxConnections int           // of each port; default 10000
	MaxStreams     int           // of each gRPC connection; default 1000
	Handshake      time.Duration // for the beginning of a gRPC connection; default 10 s
	Header         time.Duration // for the head of an HTTP request; default 5 s
}

// Defaults of Config.
const (
	defaultConnections = 10_000
	defaultStreams     = 1000
	defaultHandshake   = 10 * time.Second
)

// Server serves gRPC and HTTP between Start and Close.
type Server struct {
	cfg     Config
	metrics *metrics
	started time.Time
	grpc    *grpc.Server
	http    *http.Server
	room    *semaphore.Weighted // bytes of tasks that may be under way
	rules   map[string]rule     // by the full name of the method
	pull    *pull.Pool          // workers without a stream

	stopping context.Context //nolint:containedctx // It is the signal of Close: streams end with it.
	stop     context.CancelFunc
	serving  sync.WaitGroup // the two accept loops
	readers  sync.WaitGroup // the reading halves of streams
}

// New builds a server that does not serve yet. The listeners stay the caller's
// until Start.
func New(cfg Config) (*Server, error) {
	if cfg.Engine == nil || cfg.Workers == nil || cfg.GRPC == nil || cfg.HTTP == nil {
		return nil, errors.New("server: engine, workers and both listeners are needed")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Gatherer == nil {
		cfg.Gatherer = prometheus.NewRegistry()
	}
	if cfg.MaxRequest == 0 {
		cfg.MaxRequest = DefaultMaxRequest
	}
	cfg.MaxConnections = cmp.Or(cfg.MaxConnections, defaultConnections)
	cfg.MaxStreams = cmp.Or(cfg.MaxStreams, defaultStreams)
	cfg.Handshake, cfg.Header = cmp.Or(cfg.Handshake, defaultHandshake), cmp.Or(cfg.Header, headerTimeout)
	s := &Server{cfg: cfg, metrics: newMetrics(), started: cfg.Clock.Now(), room: semaphore.NewWeighted(maxUnderWay), rules: rules()}
	if cfg.Registerer != nil {
		if err := s.metrics.register(cfg.Registerer); err != nil {
			return nil, fmt.Errorf("register metrics of server: %w", err)
		}
	}
	var err error
	s.pull, err = pull.New(pull.Config{Workers: cfg.Workers, Engine: cfg.Engine, Clock: cfg.Clock, Registerer: cfg.Registerer})
	if err != nil {
		return nil, fmt.Errorf("build pool of workers that pull: %w", err)
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.grpc = s.newGRPC()
	if s.http, err = s.newHTTP(); err != nil {
		return nil, fmt.Errorf("build http server: %w", err)
	}
	return s, nil
}

// Start begins to accept connections and returns at once.
func (s *Server) Start() {
	grpcPort, httpPort := s.front(s.cfg.GRPC, "grpc", s.cfg.GRPCTLS), s.front(s.cfg.HTTP, "http", s.cfg.HTTPTLS)
	s.serving.Go(func() {
		if err := s.grpc.Serve(grpcPort); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			s.cfg.Logger.Error("grpc stopped serving", "error", err)
		}
	})
	s.serving.Go(func() {
		if err := s.http.Serve(httpPort); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.cfg.Logger.Error("http stopped serving", "error", err)
		}
	})
}

// Close ends all streams, after what waits for them was sent, lets requests under
// way finish until ctx ends, then cuts the rest.
func (s *Server) Close(ctx context.Context) error {
	s.stop()
	graceful := make(chan struct{})
	go func() {
		defer close(graceful)
		s.grpc.GracefulStop()
	}()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("shut down http: %w", err), s.http.Close())
	}
	select {
	case <-graceful:
	case <-ctx.Done():
		s.grpc.Stop()
		<-graceful
		err = errors.Join(err, fmt.Errorf("shut down grpc: %w", ctx.Err()))
	}
	s.serving.Wait()
	s.readers.Wait()
	s.pull.Close()
	return err
}

// streamContext is the context of a stream, which ends with the server too.
func (s *Server) streamContext(stream context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(stream)
	unhook := context.AfterFunc(s.stopping, func() { cancel(errStopped()) })
	return ctx, func() {
		unhook()
		cancel(nil)
	}
}
