package node

import (
	"context"
	"errors"
	"net"
	"os"

	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/activity"
	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/lifecycle"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/server"
)

// parts lists what a node is made of, in the order of the start. Each part finds
// what it needs in n, where the parts before it have put it.
func (n *Node) parts() []lifecycle.Part {
	return []lifecycle.Part{
		{Name: "certificates", Start: n.openCertificates, Stop: n.closeCertificates},
		{Name: "ports", Start: n.listen, Stop: n.unlisten},
		{Name: "first answers", Start: n.answer, Stop: func(ctx context.Context) error { return n.starting.end(ctx) }},
		{Name: "storage engine", Start: n.openKV, Stop: func(context.Context) error { return n.db.Close() }},
		{Name: "broker", Start: n.openBroker, Stop: func(ctx context.Context) error { return n.broker.Close(ctx) }},
		{Name: "store", Start: n.openStore, Stop: func(ctx context.Context) error { return n.store.Close(ctx) }},
		{Name: "tokens", Start: n.openAccess, Stop: n.closeAccess},
		{Name: "dispatch", Start: n.openDispatch, Stop: func(ctx context.Context) error { return n.dispatch.Close(ctx) }},
		{Name: "webhooks", Start: n.openWebhooks, Stop: func(context.Context) error { n.webhooks.Close(); return nil }},
		{
			Name: "partitions", Start: n.startEngine,
			Drain: func(ctx context.Context) error { return n.engine.Drain(ctx) },
			Stop:  n.stopEngine,
		},
		{Name: "activity", Start: n.openActivity, Stop: n.closeActivity},
		{
			Name: "server", Start: n.startServer,
			// Whoever hears of the drain finds that nothing new is taken, and workers hear
			// of it before the partitions wait for their leases.
			Drain: func(context.Context) error {
				n.engine.Refuse()
				n.dispatch.Drain()
				return nil
			},
			Stop: func(ctx context.Context) error { return n.server.Close(ctx) },
		},
	}
}

func (n *Node) listen(ctx context.Context) error {
	var err error
	if n.grpc, err = listen(ctx, "grpc.listen", n.opts.Config.GRPC.Listen); err != nil {
		return err
	}
	if n.http, err = listen(ctx, "http.listen", n.opts.Config.HTTP.Listen); err != nil {
		return errors.Join(err, n.grpc.Close())
	}
	return nil
}

// unlisten closes what the server did not close, because it never started.
func (n *Node) unlisten(context.Context) error {
	var errs []error
	for _, l := range []net.Listener{n.grpc, n.http} {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (n *Node) openKV(context.Context) error {
	c := n.opts.Config
	db, err := kv.Open(kv.Config{ //nolint:contextcheck // What it starts outlives the start.
		Dir: c.DataDir, Logger: n.log, Registerer: n.registry, Clock: n.opts.Clock, Fatal: n.opts.Fatal,
		CacheBytes: int64(c.Storage.Cache), MemTableBytes: uint64(c.Storage.MemTable), MinFreeBytes: uint64(c.Storage.MinFree),
	})
	if err != nil {
		return dataDirError(c.DataDir, err)
	}
	n.db = db
	return nil
}

func (n *Node) openAccess(ctx context.Context) error {
	auth := n.opts.Config.Auth
	b, err := access.Open(ctx, access.Config{
		Meta: n.store.Meta(), Required: auth.Required, RootFile: auth.RootTokenFile,
		Clock: n.opts.Clock, Logger: n.log, Registerer: n.registry,
	})
	if err != nil {
		return err
	}
	n.access = b
	return nil
}

func (n *Node) closeAccess(context.Context) error {
	n.access.Close()
	return nil
}

func (n *Node) openActivity(context.Context) error {
	r, err := activity.New(activity.Config{
		Store: n.engine, Node: n.opts.Config.Node, Retention: n.opts.Config.Activity.Retention,
		Clock: n.opts.Clock, Logger: n.log, Registerer: n.registry,
	})
	if err != nil {
		return err
	}
	n.activity = r
	return nil
}

func (n *Node) closeActivity(context.Context) error {
	n.activity.Close()
	return nil
}

func (n *Node) openDispatch(context.Context) error {
	workers := n.opts.Config.Workers
	cfg := dispatch.Config{Clock: n.opts.Clock, Logger: n.log, Registerer: n.registry, SlowStart: workers.SlowStart, NoEjection: !workers.Eject}
	if workers.SlowStart == 0 {
		cfg.SlowStart = -1 // None, and not the default.
	}
	d, err := dispatch.New(cfg)
	if err != nil {
		return err
	}
	n.dispatch = d
	return nil
}

func (n *Node) startEngine(ctx context.Context) error {
	death, err := deathAt(os.Getenv(deathEnv))
	if err != nil {
		return err
	}
	cfg := partition.Config{
		Partitions: n.opts.Config.Partitions, Broker: n.broker, Store: n.store, Dispatch: n.dispatch,
		Clock: n.opts.TaskClock, Logger: n.log, Node: n.opts.Config.Node, Registerer: n.registry,
		Configured: n.webhooks.Configure,
	}
	if death != nil {
		cfg.Told, cfg.Moved = death.told, death.moved
	}
	e, err := partition.New(cfg)
	if err != nil {
		return err
	}
	n.engine = e
	n.dispatch.Start(e)
	if err := e.Start(ctx); err != nil {
		return errors.Join(err, n.stopEngine(ctx))
	}
	return nil
}

// stopEngine stops the partitions without waiting for leases.
func (n *Node) stopEngine(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return n.engine.Drain(ctx)
}

func (n *Node) startServer(ctx context.Context) error {
	c := n.opts.Config
	s, err := server.New(server.Config{ //nolint:contextcheck // Its requests bring their own.
		Engine: n.ready(), Workers: n.dispatch, Access: n.access, Activity: n.activity, GRPC: n.grpc, HTTP: n.http, Clock: n.opts.Clock, Logger: n.log,
		Registerer: n.registry, Gatherer: n.registry, Node: c.Node, Version: n.opts.Build.Version,
		Partitions: c.Partitions, Durability: n.broker.Capabilities().Durability, MaxRequest: int(c.Limits.Request),
		GRPCTLS: tlsOf(n.grpcCert), HTTPTLS: tlsOf(n.httpCert), MaxConnections: c.Limits.Connections, MaxStreams: c.Limits.Streams,
	})
	if err != nil {
		return err
	}
	n.server = s
	if err := n.starting.end(ctx); err != nil {
		return err
	}
	s.Start()
	return nil
}
