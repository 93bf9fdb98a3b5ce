package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker/rabbitmq"
)

// refusedFor connects under a prefix that is taken, and returns why it cannot. A
// server that is slow to let it in is given more time.
func refusedFor(t *testing.T, cfg rabbitmq.Config) (err error) {
	t.Helper()
	for cfg.Timeout = 500 * time.Millisecond; cfg.Timeout < time.Minute; cfg.Timeout *= 2 {
		var b *rabbitmq.Broker
		if b, err = rabbitmq.New(t.Context(), cfg); err == nil {
			_ = b.Close(context.WithoutCancel(t.Context()))
			return nil
		}
		if errors.Is(err, rabbitmq.ErrInUse) {
			break
		}
	}
	return err
}

func TestASecondNodeWithAPrefixIsRefused(t *testing.T) {
	cfg := config(t)
	cfg.Alone = true
	first := connect(t, cfg)
	err := refusedFor(t, cfg)
	for _, word := range []string{cfg.Prefix, cfg.Endpoints[0], "another node", "set another prefix"} {
		if !errors.Is(err, rabbitmq.ErrInUse) || !strings.Contains(err.Error(), word) {
			t.Fatalf("the error does not say %q: %v", word, err)
		}
	}
	if err := first.Problem(); err != nil {
		t.Errorf("the first one has a problem: %v", err)
	}
	other := config(t)
	other.Alone = true
	connect(t, other)
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	connect(t, cfg)
}

func TestANodeThatDiesLeavesItsPlaceAtOnce(t *testing.T) {
	p := newProxy(t)
	cfg := p.through(t)
	cfg.Alone, cfg.Heartbeat = true, time.Minute // so that no heartbeat tells of it
	connect(t, cfg)
	p.refuse() // The kernel of a process that was killed ends its connections.
	next := config(t)
	next.Alone, next.Prefix = true, cfg.Prefix
	connect(t, next)
}

func TestANodeTakesItsPlaceAgainAfterACut(t *testing.T) {
	p := newProxy(t)
	cfg := p.through(t)
	cfg.Alone = true
	b := connect(t, cfg)
	next := config(t)
	next.Alone, next.Prefix = true, cfg.Prefix
	const connections = 5
	for cut := range 3 {
		p.cut()
		eventually(t, func() error {
			if n := b.Connects(); n < connections*float64(cut+2) {
				return fmt.Errorf("%v connections were made", n)
			}
			return nil
		})
		// Until it has its place again, another one could get it.
		eventually(t, b.Alone)
		if err := refusedFor(t, next); !errors.Is(err, rabbitmq.ErrInUse) {
			t.Fatalf("another node got in: %v", err)
		}
	}
}

func TestANodeWhosePlaceWasTakenSaysSo(t *testing.T) {
	p := newProxy(t)
	cfg := p.through(t)
	cfg.Alone, cfg.Heartbeat = true, time.Second
	b := connect(t, cfg)
	p.refuse()
	next := config(t)
	next.Alone, next.Prefix = true, cfg.Prefix
	connect(t, next)
	p.admit()
	eventually(t, func() error {
		if err := b.Problem(); !errors.Is(err, rabbitmq.ErrInUse) {
			return errors.Join(errors.New("it does not know"), err)
		}
		return nil
	})
}
