package rabbitmq

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fenfa/fenfa/internal/broker"
)

// Broker implements broker.Broker over RabbitMQ.
type Broker struct {
	cfg     Config
	servers string // all endpoints, for messages
	metrics *metrics
	control control // never publishes, so that the server always reads it
	notes   control // for what is published to other processes and to the next one
	fence   *fence
	alone   alone
	away    outage       // no connection
	alarm   outage       // the server takes no messages
	blocks  atomic.Int32 // connections that the server takes nothing from
	lanes   []*lane
	readers []*link       // connections of readers
	process uint64        // tells this process from others
	stamps  atomic.Uint64 // tell messages from each other; they begin anywhere

	inherited inherited
	queues    atomic.Pointer[map[string]*queue] // replaced under declaring
	declaring sync.Mutex

	mu     sync.Mutex
	closed bool
	tasks  sync.WaitGroup              // goroutines that end by themselves or with readers; none starts after closed
	links  sync.WaitGroup              // goroutines that end with stop
	runs   func(func(context.Context)) // starts one of links
	stop   context.CancelFunc
}

var _ broker.Broker = (*Broker)(nil)

// New connects to the server and declares what all queues share. It tries until
// ctx or the timeout ends, except when the server refuses the login (ErrLogin) or
// something exists there in another form.
func New(ctx context.Context, cfg Config) (*Broker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Broker{cfg: cfg, servers: strings.Join(cfg.Endpoints, ", "), metrics: newMetrics()}
	b.alone.b = b
	b.queues.Store(&map[string]*queue{})
	var start [16]byte
	if _, err := rand.Read(start[:]); err != nil {
		return nil, fmt.Errorf("new RabbitMQ broker: %w", err)
	}
	b.process = binary.BigEndian.Uint64(start[:8])
	b.stamps.Store(binary.BigEndian.Uint64(start[8:]))
	if err := b.metrics.register(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("new RabbitMQ broker: %w", err)
	}
	b.start() //nolint:contextcheck // What it starts lasts until Close.
	if err := b.greet(ctx); err != nil {
		_ = b.Close(ctx)
		return nil, fmt.Errorf("new RabbitMQ broker: %w", err)
	}
	return b, nil
}

// start starts the goroutines that last as long as the broker.
func (b *Broker) start() {
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	run := func(f func(context.Context)) { b.links.Go(func() { f(ctx) }) }
	b.runs = run
	var links []*link
	open := func(name string) *link {
		l := newLink(b, name)
		links = append(links, l)
		return l
	}
	b.control = control{b: b, link: open("control")}
	b.fence = newFence(b)
	publishers := make([]*link, b.cfg.Connections)
	b.readers = make([]*link, b.cfg.Connections)
	for i := range b.cfg.Connections {
		publishers[i] = open(fmt.Sprint("publish ", i))
		b.readers[i] = open(fmt.Sprint("read ", i))
	}
	b.notes = control{b: b, link: publishers[0]}
	b.lanes = make([]*lane, b.cfg.Lanes)
	for i := range b.lanes {
		b.lanes[i] = newLane(b, publishers[i%len(publishers)])
	}
	// Each of them looks at all others.
	for _, l := range links {
		run(l.run)
	}
	for _, ln := range b.lanes {
		run(ln.run)
	}
	for _, f := range []func(context.Context){b.fence.run, b.fence.repeat, b.refresh, b.keepState} {
		run(f)
	}
}

// greet waits for the connections that New needs and for what all queues share.
func (b *Broker) greet(ctx context.Context) error {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	for {
		s, changed, failure := b.control.link.state()
		if s != nil {
			if _, err := b.notes.link.session(ctx); err != nil {
				return err
			}
			return b.enterServer(ctx)
		}
		if errors.Is(failure, ErrLogin) {
			return failure
		}
		select {
		case <-changed:
		case <-ctx.Done():
			_, err := b.control.link.session(ctx)
			return err
		}
	}
}

// enterServer declares what all queues share and reads what was left there.
func (b *Broker) enterServer(ctx context.Context) error {
	if b.cfg.Alone {
		if err := b.alone.first(ctx); err != nil {
			return b.on("take prefix "+b.cfg.Prefix, "", err)
		}
		b.runs(b.alone.run)
	}
	has, err := b.hasState(ctx)
	if err != nil {
		return err
	}
	if err := b.control.do(ctx, "declare what queues share", b.cfg.declareShared); err != nil {
		return err
	}
	left := &state{}
	if has {
		left = b.loadState(ctx)
	}
	b.inherited.load(left)
	return nil
}

// Capabilities implements broker.Broker.
func (b *Broker) Capabilities() broker.Capabilities {
	return broker.Capabilities{Durability: "quorum", SeveralNodes: true}
}

func (b *Broker) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// spawn runs f in a goroutine that Close waits for, and reports false when the
// broker is closed.
func (b *Broker) spawn(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.tasks.Go(f)
	return true
}

// Close implements broker.Broker. Publishes that are under way get their answers
// and readers hand in what was settled, as long as ctx and the timeout allow;
// then the connections are ended.
func (b *Broker) Close(ctx context.Context) error {
	b.mu.Lock()
	already := b.closed
	b.closed = true
	b.mu.Unlock()
	if already {
		b.links.Wait()
		return nil
	}
	for _, q := range *b.queues.Load() {
		q.end(broker.ErrClosed)
	}
	for _, l := range b.lanes {
		l.close()
	}
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		b.tasks.Wait()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
		b.saveLast(ctx)
	case <-ctx.Done():
		err = fmt.Errorf("close RabbitMQ broker: the server did not answer in time: %w", context.Cause(ctx))
	}
	b.stop()
	b.links.Wait()
	<-ended
	b.metrics.unregister(b.cfg.Registerer)
	return err
}
