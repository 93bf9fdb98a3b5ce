package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/rabbitmq"
	"github.com/fenfa/fenfa/internal/task"
)

const queue = "orders"

// load publishes to a broker and reads from it, while things break, and knows what
// must come out.
type load struct {
	t          *testing.T
	b          *rabbitmq.Broker
	partitions int
	progress   chan int // messages of each call that was confirmed

	mu        sync.Mutex
	confirmed []int              // how many messages of each publisher
	seen      []int              // how many of each publisher were read, repeats aside
	arrived   chan struct{}      // something was read
	stop      context.CancelFunc // of the publishers
	publish   sync.WaitGroup
	read      sync.WaitGroup
	repeats   int
}

const (
	publishers  = 4
	perCall     = 20
	hardTimeout = 2 * time.Minute
)

// startLoad starts publishers and readers of a new queue.
func startLoad(t *testing.T, b *rabbitmq.Broker, partitions int) *load {
	t.Helper()
	l := &load{
		t: t, b: b, partitions: partitions, progress: make(chan int, 1024), arrived: make(chan struct{}, 1),
		confirmed: make([]int, publishers), seen: make([]int, publishers),
	}
	if err := b.Declare(t.Context(), broker.Declaration{Queue: queue, Partitions: partitions}); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	publishing, stop := context.WithCancel(ctx)
	t.Cleanup(stop)
	l.stop = stop
	for p := range publishers {
		l.publish.Go(func() { l.publisher(publishing, p) })
	}
	for part := range partitions {
		r, err := b.Open(ctx, queue, part, 1)
		if err != nil {
			t.Fatal(err)
		}
		l.read.Go(func() { l.reader(ctx, r) })
	}
	return l
}

func message(publisher, n, partition int) broker.Message {
	name := fmt.Sprintf("%d %d", publisher, n)
	return broker.Message{Queue: queue, Partition: partition, ID: task.DeriveID(name), Body: fmt.Appendf(nil, "%s %0100d", name, 0)}
}

// publisher publishes to one partition and repeats each call until it is confirmed.
func (l *load) publisher(ctx context.Context, p int) {
	for n := 0; ctx.Err() == nil; n += perCall {
		batch := make([]broker.Message, perCall)
		for i := range batch {
			batch[i] = message(p, n+i, p%l.partitions)
		}
		// The last call is carried through: what it left half done would be an odd end.
		if !l.insist(context.WithoutCancel(ctx), batch) {
			return
		}
		l.mu.Lock()
		l.confirmed[p] += perCall
		l.mu.Unlock()
		select {
		case l.progress <- perCall:
		case <-ctx.Done():
		}
	}
}

func (l *load) insist(ctx context.Context, batch []broker.Message) bool {
	ctx, cancel := context.WithTimeout(ctx, hardTimeout)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		call, cancel := context.WithTimeout(ctx, 2*time.Second)
		err = l.b.Publish(call, batch)
		cancel()
		if err == nil {
			return true
		}
		if errors.Is(err, broker.ErrClosed) {
			break
		}
	}
	l.t.Errorf("a call was never confirmed: %v", err)
	return false
}

// reader reads until ctx ends, settles what it read before the last time, and
// checks order and positions.
func (l *load) reader(ctx context.Context, r broker.Reader) {
	var last broker.Position
	var before []broker.Position
	for {
		ds, err := r.Next(ctx, broker.Limit{Tasks: 50})
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, broker.ErrClosed) {
				l.t.Errorf("read: %v", err)
			}
			return
		}
		now := make([]broker.Position, len(ds))
		for i := range ds {
			if ds[i].Position <= last {
				l.t.Errorf("position %d came behind %d", ds[i].Position, last)
			}
			last, now[i] = ds[i].Position, ds[i].Position
			l.take(&ds[i])
		}
		if err := r.Settle(ctx, before...); err != nil && !errors.Is(err, broker.ErrClosed) {
			l.t.Errorf("settle: %v", err)
		}
		before = now
		select {
		case l.arrived <- struct{}{}:
		default:
		}
	}
}

// take checks that a message is the next of its publisher, or a repeat.
func (l *load) take(d *broker.Delivery) {
	var p, n int
	if _, err := fmt.Sscanf(string(d.Body), "%d %d", &p, &n); err != nil {
		l.t.Errorf("read a message: %v", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case p >= publishers: // of a test
	case n == l.seen[p]:
		l.seen[p]++
	case n < l.seen[p]:
		l.repeats++
	default:
		l.t.Errorf("message %d of publisher %d came before message %d", n, p, l.seen[p])
		l.seen[p] = n + 1
	}
}

// await waits until so many more messages are confirmed.
func (l *load) await(n int) {
	l.t.Helper()
	patience := time.After(hardTimeout)
	for n > 0 {
		select {
		case done := <-l.progress:
			n -= done
		case <-patience:
			l.t.Fatal("nothing is confirmed any more")
		}
	}
}

// finish stops the publishers, waits until everything that was confirmed is read,
// and reports what happened.
func (l *load) finish() {
	l.t.Helper()
	l.stop()
	l.publish.Wait()
	patience := time.After(hardTimeout)
	for !l.complete() {
		select {
		case <-l.arrived:
		case <-patience:
			l.t.Fatalf("confirmed %v, read only %v", l.confirmed, l.seen)
		}
	}
	if err := l.b.Close(context.WithoutCancel(l.t.Context())); err != nil {
		l.t.Errorf("close: %v", err)
	}
	l.read.Wait()
	l.t.Logf("confirmed %v, read %v, repeats %d", l.confirmed, l.seen, l.repeats)
}

func (l *load) complete() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.seen {
		if l.seen[p] < l.confirmed[p] {
			return false
		}
	}
	return true
}
