package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/rabbitmq"
	"github.com/fenfa/fenfa/internal/rabbitmqserver"
)

// alarm makes the server believe that it has too little memory, until over is called
// or the test ends.
func alarm(t *testing.T, server *rabbitmqserver.Node) (over func()) {
	t.Helper()
	set := func(mark string) {
		t.Helper()
		if _, err := server.Control(context.WithoutCancel(t.Context()), "set_vm_memory_high_watermark", mark); err != nil {
			t.Error(err)
		}
	}
	set("0.000001")
	over = func() { t.Helper(); set("0.6") }
	t.Cleanup(over)
	return over
}

// tryOnce publishes one message with little patience.
func tryOnce(t *testing.T, b *rabbitmq.Broker, n, partition int) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	return b.Publish(ctx, []broker.Message{message(0, n, partition)})
}

// awaitAlarm publishes to partition 0 until the broker knows of the alarm. It
// returns the number of the next message, and how the publish was refused.
func awaitAlarm(t *testing.T, b *rabbitmq.Broker, n int) (next int, refusal error) {
	t.Helper()
	eventually(t, func() error {
		refusal = tryOnce(t, b, n, 0)
		n++
		if _, ok := errors.AsType[*broker.PublishError](refusal); !ok {
			return errors.Join(errors.New("it was sent"), refusal)
		}
		return nil
	})
	return n, refusal
}

func TestAMemoryAlarmIsBackPressure(t *testing.T) {
	server := shared.NeedPrivate(t)
	b := connect(t, config(t))
	declare(t, b, broker.Declaration{})
	over := alarm(t, server)
	// The first publish finds out; then nothing is sent any more.
	n, err := awaitAlarm(t, b, 0)
	if !errors.Is(err, broker.ErrFull) || !strings.Contains(err.Error(), "memory") || !strings.Contains(err.Error(), server.Addr()) {
		t.Errorf("publish to a server without memory: %v", err)
	}
	if err := b.Problem(); !errors.Is(err, broker.ErrFull) {
		t.Errorf("the problem is %v", err)
	}
	over()
	if err := b.Publish(within(t), []broker.Message{message(0, n, 0)}); err != nil {
		t.Errorf("publish after the alarm: %v", err)
	}
}

func TestOneConnectionHearsOfAnAlarmForAll(t *testing.T) {
	server := shared.NeedPrivate(t)
	cfg := config(t)
	cfg.Connections, cfg.Lanes = 4, 8
	b := connect(t, cfg)
	const partitions = 16
	declare(t, b, broker.Declaration{Partitions: partitions})
	over := alarm(t, server)
	n, _ := awaitAlarm(t, b, 0)
	for partition := range partitions {
		err := tryOnce(t, b, n, partition)
		if _, ok := errors.AsType[*broker.PublishError](err); !ok || !errors.Is(err, broker.ErrFull) {
			t.Errorf("partition %d: nothing should have been sent, and the answer is %v", partition, err)
		}
		n++
	}
	over()
	for partition := range partitions {
		if err := b.Publish(within(t), []broker.Message{message(0, n, partition)}); err != nil {
			t.Errorf("publish to partition %d after the alarm: %v", partition, err)
		}
		n++
	}
}

func TestReadingGoesOnThroughAnAlarm(t *testing.T) {
	server := shared.NeedPrivate(t)
	p := newProxy(t)
	b := connect(t, p.through(t))
	declare(t, b, broker.Declaration{Partitions: 2})
	publish(t, b, 0, 100)
	r := open(t, b, 1)
	settle(t, r, read(t, r, numbers(0, 10)...)...)
	alarm(t, server)
	_, _ = awaitAlarm(t, b, 100)
	for range 24 {
		// Whether it answers that fast or not: it must not cost what later calls need.
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		_, _ = b.Backlog(ctx, queue)
		cancel()
	}
	for cut := range 2 {
		p.cut()
		awaitResumed(t, b, cut+1)
		if _, err := b.Backlog(within(t), queue); err != nil {
			t.Errorf("backlog during the alarm: %v", err)
		}
	}
	rest := readTo(t, r, 99)
	settle(t, r, rest...)
	other, err := b.Open(within(t), queue, 1, 1)
	if err != nil {
		t.Errorf("open reader during the alarm: %v", err)
	} else if err := other.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := b.Declare(within(t), broker.Declaration{Queue: "made-meanwhile", Partitions: 1}); err != nil {
		t.Errorf("declare during the alarm: %v", err)
	}
}

func TestAnAnnouncementIsMadeUpForAfterAnAlarm(t *testing.T) {
	server := shared.NeedPrivate(t)
	cfg := config(t)
	old, fresh := connect(t, cfg), connect(t, cfg)
	declare(t, old, broker.Declaration{})
	publish(t, old, 0, 4)
	declare(t, fresh, broker.Declaration{})
	first := open(t, old, 5)
	read(t, first, numbers(0, 4)...)
	over := alarm(t, server)
	_, _ = awaitAlarm(t, fresh, 4)
	open(t, fresh, 6)
	over()
	for {
		// What was tried during the alarm may have been stored.
		if _, err := first.Next(within(t), broker.Limit{Tasks: 1}); err != nil {
			if !errors.Is(err, broker.ErrFenced) {
				t.Errorf("the old reader ended with %v", err)
			}
			break
		}
	}
}

// A server may block connections that never published; here one that did stands for
// them.
func TestACallOverABlockedConnectionFailsAtOnce(t *testing.T) {
	server := shared.NeedPrivate(t)
	b := connect(t, config(t))
	declare(t, b, broker.Declaration{})
	publish(t, b, 0, 3)
	alarm(t, server)
	eventually(t, func() error {
		if err := b.PublishOverControl(within(t)); !errors.Is(err, broker.ErrFull) {
			return fmt.Errorf("it is not blocked: %w", err)
		}
		return nil
	})
	if err := b.Declare(t.Context(), broker.Declaration{Queue: "another", Partitions: 1}); !errors.Is(err, broker.ErrFull) || !strings.Contains(err.Error(), "alarm") {
		t.Errorf("declare: %v", err)
	}
	backlog, err := b.Backlog(t.Context(), queue)
	if err != nil || backlog.Tasks != 3 {
		t.Errorf("the backlog is %d, %v", backlog.Tasks, err)
	}
}
