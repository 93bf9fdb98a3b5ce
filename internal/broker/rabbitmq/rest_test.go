package rabbitmq_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/rabbitmq"
)

const largeTasks = 400

// restful returns a broker whose readers rest soon, with many large messages.
func restful(t *testing.T) *rabbitmq.Broker {
	t.Helper()
	cfg := config(t)
	cfg.ReadAhead = 256 << 10
	cfg.Patience = time.Millisecond
	b := connect(t, cfg)
	declare(t, b, broker.Declaration{})
	batch := make([]broker.Message, largeTasks)
	for n := range batch {
		batch[n] = message(0, n, 0)
		batch[n].Body = append(batch[n].Body, make([]byte, 100<<10)...)
	}
	if err := b.Publish(within(t), batch); err != nil {
		t.Fatal(err)
	}
	return b
}

// awaitReady waits until the server has so many messages that it has given to nobody.
func awaitReady(t *testing.T, b *rabbitmq.Broker, want int) {
	t.Helper()
	ch := raw(t)
	eventually(t, func() error {
		state, err := ch.QueueDeclarePassive(b.ServerName(queue, 0), true, false, false, false, nil)
		if err == nil && state.Messages != want {
			err = fmt.Errorf("the server has %d messages, want %d", state.Messages, want)
		}
		return err
	})
}

// backlog waits until the broker reports so many tasks.
func backlog(t *testing.T, b *rabbitmq.Broker, want int64) {
	t.Helper()
	eventually(t, func() error {
		got, err := b.Backlog(within(t), queue)
		if err == nil && got.Tasks != want {
			err = fmt.Errorf("the backlog is %d tasks, want %d", got.Tasks, want)
		}
		return err
	})
}

// next reads the large messages of the numbers, some at a time.
func next(t *testing.T, r broker.Reader, from, to int) []broker.Delivery {
	t.Helper()
	var all []broker.Delivery
	for from < to {
		ds, err := r.Next(within(t), broker.Limit{Tasks: to - from})
		if err != nil {
			t.Fatal(err)
		}
		for i := range ds {
			if n := number(t, &ds[i]); n != from {
				t.Fatalf("message %d came, want %d", n, from)
			}
			from++
		}
		all = append(all, ds...)
	}
	return all
}

func TestAReaderThatNobodyAsksGivesEverythingBackOnce(t *testing.T) {
	b := restful(t)
	r := open(t, b, 1)
	awaitReady(t, b, largeTasks)
	awaitResumed(t, b, 1) // over a connection of its own
	awaitReady(t, b, largeTasks)
	connects, resumed := b.Connects(), b.Resumed()
	held := next(t, r, 0, 2) // of what it has received
	backlog(t, b, largeTasks)
	settle(t, r, held...)
	backlog(t, b, largeTasks-2)
	if b.Connects() != connects || b.Resumed() != resumed {
		t.Errorf("it connected %v times, resumed %v times while nobody asked for more; before %v and %v", b.Connects(), b.Resumed(), connects, resumed)
	}
	for at := 2; at < largeTasks; {
		ds, err := r.Next(within(t), broker.Limit{Tasks: 50})
		if err != nil {
			t.Fatal(err)
		}
		for i := range ds {
			switch n := number(t, &ds[i]); {
			case n == at:
				at++
			case n > at: // What comes again was settled, and the ack was lost with a connection.
				t.Fatalf("message %d came, want %d", n, at)
			}
		}
		settle(t, r, ds...)
	}
	backlog(t, b, 0)
	awaitReady(t, b, 0)
}

func TestWhatWasSettledWhileAReaderRestedIsNotGivenToTheNext(t *testing.T) {
	b := restful(t)
	r := open(t, b, 1)
	awaitResumed(t, b, 1)
	awaitReady(t, b, largeTasks)
	settle(t, r, next(t, r, 0, 2)...)
	second := open(t, b, 2)
	next(t, second, 2, 20)
	if _, err := r.Next(within(t), broker.Limit{Tasks: 1}); !errors.Is(err, broker.ErrFenced) {
		t.Errorf("the reader before got %v", err)
	}
}

func TestTheBacklogCountsWhatIsOnItsWayToAReader(t *testing.T) {
	cfg := config(t)
	cfg.ReadAhead = 256 << 10
	cfg.Patience = time.Hour
	b := connect(t, cfg)
	declare(t, b, broker.Declaration{})
	const n = 200
	batch := make([]broker.Message, n)
	for i := range batch {
		batch[i] = message(0, i, 0)
		batch[i].Body = append(batch[i].Body, make([]byte, 200<<10)...)
	}
	if err := b.Publish(within(t), batch); err != nil {
		t.Fatal(err)
	}
	r := open(t, b, 1)
	awaitResumed(t, b, 1)
	awaitReady(t, b, 0) // it is all on its way, and the reader does not take it in
	got, err := b.Backlog(within(t), queue)
	if err != nil || got.Tasks != n {
		t.Errorf("the backlog is %d tasks of %d: %v", got.Tasks, n, err)
	}
	settle(t, r, next(t, r, 0, n)...)
	backlog(t, b, 0)
}
