package demo

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fenfa/fenfa/internal/child"
	"github.com/fenfa/fenfa/internal/task"
)

// killPoll is how often the progress is looked at; it costs no call.
const killPoll = 2 * time.Millisecond

// incidents is what was killed, and when. It is written by kills and read after
// that has returned, but for what announce says.
type incidents struct {
	workerKilled bool
	workerID     string
	workerAt     time.Time // of the kill
	workerHad    []task.ID // orders that it had started lately, finished or not

	brokerKilled    bool
	brokerAt        time.Time // of the kill
	brokerStartedAt time.Time // when its process was started again
	brokerReadyAt   time.Time // when it let clients in

	storeKilled    bool
	storeAt        time.Time // of the kill
	storeStartedAt time.Time // when its process was started again
	storeReadyAt   time.Time // when it let clients in

	nodeKilled    bool
	nodeAt        time.Time // of the kill
	nodeStartedAt time.Time // when its process was started again
	nodeReadyAt   time.Time

	lock sync.Mutex
	news []string
}

// announce keeps a line for the progress display.
func (n *incidents) announce(format string, args ...any) {
	n.lock.Lock()
	defer n.lock.Unlock()
	n.news = append(n.news, fmt.Sprintf(format, args...))
}

// all returns what has been announced so far.
func (n *incidents) all() []string {
	n.lock.Lock()
	defer n.lock.Unlock()
	return append([]string(nil), n.news...)
}

// kills kills a worker, then broker and databases where there are some to kill, and
// then the node when their moments come, and brings a new worker and what else was
// killed back after a while. It returns when the node runs again, or when idle is closed before
// the moments came.
func (n *incidents) kills(ctx context.Context, total int, crew *crew, servers victims, node *child.Node, idle <-chan struct{}) error {
	reached := func(share float64) bool {
		return awaitProgress(ctx, crew, int64(share*float64(total)), idle)
	}
	if !reached(killWorkerAt) {
		return ctx.Err()
	}
	var err error
	if n.workerID, n.workerAt, n.workerHad, err = crew.kill(ctx); err != nil {
		return fmt.Errorf("kill worker: %w", err)
	}
	n.workerKilled = true
	n.announce("killed %s (SIGKILL) after %d orders", n.workerID, crew.worked())
	replaced := make(chan error, 1)
	go func() { replaced <- n.replaceWorker(ctx, crew) }()
	rest := n.killBroker(ctx, reached, crew, servers.broker)
	if rest == nil {
		rest = n.killStore(ctx, reached, crew, servers.store)
	}
	if rest == nil {
		rest = n.killNode(ctx, reached, crew, node)
	}
	if err := <-replaced; err != nil {
		return err
	}
	return rest
}

// replaceWorker starts a new worker after a while.
func (n *incidents) replaceWorker(ctx context.Context, crew *crew) error {
	if err := wait(ctx, workerAway); err != nil {
		return err
	}
	if err := crew.hire(); err != nil {
		return fmt.Errorf("replace worker: %w", err)
	}
	n.announce("started a new worker in its place")
	return nil
}

// killBroker kills the broker and starts it again on the same data.
func (n *incidents) killBroker(ctx context.Context, reached func(float64) bool, crew *crew, broker victim) error {
	if broker == nil || !reached(killBrokerAt) {
		return ctx.Err()
	}
	n.brokerAt = time.Now()
	if err := broker.Kill(); err != nil {
		return fmt.Errorf("kill broker: %w", err)
	}
	n.brokerKilled = true
	n.announce("killed the broker (SIGKILL) after %d orders", crew.worked())
	if err := wait(ctx, brokerAway); err != nil {
		return err
	}
	n.brokerStartedAt = time.Now()
	if err := broker.Start(ctx); err != nil {
		return fmt.Errorf("start broker again: %w", err)
	}
	n.brokerReadyAt = time.Now()
	n.announce("the broker is back on the same data, ready after %d ms", n.brokerReadyAt.Sub(n.brokerStartedAt).Milliseconds())
	return nil
}

// killStore kills the databases and starts them again on the same data.
func (n *incidents) killStore(ctx context.Context, reached func(float64) bool, crew *crew, store victim) error {
	if store == nil || !reached(killStoreAt) {
		return ctx.Err()
	}
	n.storeAt = time.Now()
	if err := store.Kill(); err != nil {
		return fmt.Errorf("kill databases: %w", err)
	}
	n.storeKilled = true
	n.announce("killed the databases (SIGKILL) after %d orders", crew.worked())
	if err := wait(ctx, storeAway); err != nil {
		return err
	}
	n.storeStartedAt = time.Now()
	if err := store.Start(ctx); err != nil {
		return fmt.Errorf("start databases again: %w", err)
	}
	n.storeReadyAt = time.Now()
	n.announce("the databases are back on the same data, ready after %d ms", n.storeReadyAt.Sub(n.storeStartedAt).Milliseconds())
	return nil
}

// killNode kills the node and starts it again on the same data.
func (n *incidents) killNode(ctx context.Context, reached func(float64) bool, crew *crew, node *child.Node) error {
	if !reached(killNodeAt) {
		return ctx.Err()
	}
	n.nodeAt = time.Now()
	if err := node.Kill(); err != nil {
		return fmt.Errorf("kill node: %w", err)
	}
	n.nodeKilled = true
	n.announce("killed the node (SIGKILL) after %d orders", crew.worked())
	if err := wait(ctx, nodeAway); err != nil {
		return err
	}
	n.nodeStartedAt = time.Now()
	if err := node.Start(); err != nil {
		return fmt.Errorf("start node again: %w", err)
	}
	if err := node.Ready(ctx); err != nil {
		return fmt.Errorf("start node again: %w", err)
	}
	n.nodeReadyAt = time.Now()
	n.announce("the node is back on the same data, ready after %d ms", n.nodeReadyAt.Sub(n.nodeStartedAt).Milliseconds())
	return nil
}

// awaitProgress waits until the crew has worked on as many orders. It returns
// false when ctx ends or everything is idle before.
func awaitProgress(ctx context.Context, crew *crew, orders int64, idle <-chan struct{}) bool {
	tick := time.NewTicker(killPoll)
	defer tick.Stop()
	for crew.worked() < orders {
		select {
		case <-tick.C:
		case <-idle:
			return crew.worked() >= orders
		case <-ctx.Done():
			return false
		}
	}
	return true
}
