package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/activity"
	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/certs"
	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/config"
	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/lifecycle"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/server"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/telemetry"
	"github.com/fenfa/fenfa/internal/webhook"
)

// Options is a configuration and what the process around the node provides.
type Options struct {
	Config config.Config
	Build  telemetry.Build
	Logger *slog.Logger // default: none
	Clock  clock.Clock  // default: the machine's
	// TaskClock is what tasks go by: when they are due and expire, when schedules tick,
	// for how long IDs, results and dead letters are kept. Connections, workers, and
	// what they have go by Clock. Default: Clock.
	TaskClock clock.Clock
	// TuneProcess lets the node set memory limit and garbage collection of the whole
	// process, as Config.Memory says. A process that is more than the node keeps it
	// off.
	TuneProcess bool
	// Fatal is called when the disk failed; it must not return. Default: log and exit.
	Fatal func(error)
}

// Node is a running node. Its methods may be called concurrently.
type Node struct {
	opts     Options
	log      *slog.Logger
	registry *prometheus.Registry
	sequence *lifecycle.Sequence
	health   health

	// Set while starting, in this order.
	grpc, http net.Listener
	starting   *starting // until the server serves
	db         *kv.DB
	broker     broker.Broker
	store      store.Store
	dispatch   *dispatch.Dispatcher
	webhooks   *webhook.Hooks
	access     *access.Book
	activity   *activity.Recorder
	grpcCert   *certs.Keeper // nil: grpc is not encrypted
	httpCert   *certs.Keeper // nil: http is not encrypted
	engine     *partition.Engine
	server     *server.Server
}

// Open starts a node and returns when it is ready. ctx bounds the start. Whoever
// gets a node calls Run or Close.
func Open(ctx context.Context, opts Options) (*Node, error) {
	if err := opts.Config.Validate(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Clock == nil {
		opts.Clock = clock.System{}
	}
	if opts.TaskClock == nil {
		opts.TaskClock = opts.Clock
	}
	if opts.Config.Node == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("find the name of this host (set node, --node): %w", err)
		}
		opts.Config.Node = host
	}
	registry, err := telemetry.NewRegistry(opts.Build)
	if err != nil {
		return nil, err
	}
	n := &Node{opts: opts, log: opts.Logger.With("node", opts.Config.Node), registry: registry}
	if opts.TuneProcess {
		n.tune()
	}
	parts := n.parts()
	for i := range parts {
		parts[i] = n.named(parts[i])
	}
	n.sequence = lifecycle.New(parts...)
	if err := n.sequence.Start(ctx); err != nil {
		// An error that was written for a person says all that there is to say.
		if e, ok := errors.AsType[*task.Error](err); ok {
			return nil, e
		}
		return nil, err
	}
	n.health.start("")
	n.log.Info("node ready", "version", opts.Build.Version, "grpc", n.GRPCAddr(), "http", n.HTTPAddr(), "data_dir", opts.Config.DataDir, "partitions", opts.Config.Partitions)
	return n, nil
}

// GRPCAddr is the address that clients and workers connect to.
func (n *Node) GRPCAddr() string { return n.grpc.Addr().String() }

// HTTPAddr is the address of the JSON API.
func (n *Node) HTTPAddr() string { return n.http.Addr().String() }

// Outlook is what the node does with tasks, and what it waits for.
func (n *Node) Outlook(ctx context.Context) (partition.Outlook, error) { return n.engine.Outlook(ctx) }

// Sweep removes everything at once whose time is over. Else it goes bit by bit.
func (n *Node) Sweep(ctx context.Context) error { return n.engine.Sweep(ctx) }

// Serves reports whether a worker of this name is connected.
func (n *Node) Serves(worker string) bool {
	_, ok := n.dispatch.HeartbeatAge(worker)
	return ok
}

// Problems says why the node is not ready; none: it is.
func (n *Node) Problems() []string { return n.ready().Problems() }

func (n *Node) ready() ready {
	return ready{Engine: n.engine, db: n.db, broker: n.broker, health: &n.health}
}

// ready is the engine for the server: a node is ready when its partitions run, its
// broker is there and its disk takes new tasks.
type ready struct {
	*partition.Engine
	db     *kv.DB
	broker broker.Broker
	health *health
}

// Problems implements server.Engine.
func (r ready) Problems() []string {
	problems := r.Engine.Problems()
	if err := r.db.AcceptsNew(); err != nil {
		problems = append(problems, "no new tasks are taken: "+err.Error())
	}
	if w, ok := r.broker.(broker.Watched); ok {
		if err := w.Problem(); err != nil {
			problems = append(problems, "the broker is away: "+err.Error())
		}
	}
	return append(problems, r.health.Problems()...)
}

// Run waits until ctx ends, then drains and stops the node within the deadlines
// of its configuration.
func (n *Node) Run(ctx context.Context) error {
	<-ctx.Done()
	return n.Close(context.WithoutCancel(ctx))
}

// Close drains and stops the node within the deadlines of its configuration; when
// ctx ends before, it does so at once.
func (n *Node) Close(ctx context.Context) error {
	n.log.Info("node draining", "deadline", n.opts.Config.Shutdown.Drain)
	soft, cancel := context.WithTimeout(ctx, n.opts.Config.Shutdown.Drain)
	defer cancel()
	drainErr := n.sequence.Drain(soft)
	// The end of ctx hurries the drain; closing has its own deadline.
	hard, cancelHard := context.WithTimeout(context.WithoutCancel(ctx), n.opts.Config.Shutdown.Stop)
	defer cancelHard()
	err := errors.Join(drainErr, n.sequence.Stop(hard))
	if err != nil {
		n.log.Error("node stopped with errors", "error", err)
		return err
	}
	n.log.Info("node stopped")
	return nil
}
