package rabbitmq_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/rabbitmq"
)

func TestARefusedLoginIsClearAndKeepsThePassword(t *testing.T) {
	const wrong = "open-sesame-42"
	for name, c := range map[string]struct {
		change func(*rabbitmq.Config)
		says   string
	}{
		"password": {func(c *rabbitmq.Config) { c.Password = wrong }, "check user and password"},
		"user":     {func(c *rabbitmq.Config) { c.User, c.Password = "nobody", wrong }, "check user and password"},
		"vhost":    {func(c *rabbitmq.Config) { c.VHost = "nowhere" }, "check the vhost"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			var logged strings.Builder
			cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil))
			c.change(&cfg)
			_, err := rabbitmq.New(within(t), cfg)
			if !errors.Is(err, rabbitmq.ErrLogin) || !strings.Contains(fmt.Sprint(err), c.says) || !strings.Contains(fmt.Sprint(err), cfg.Endpoints[0]) {
				t.Errorf("got %v", err)
			}
			for _, text := range []string{fmt.Sprintf("%v %+v %#v", err, err, err), logged.String(), fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg)} {
				if strings.Contains(text, wrong) || strings.Contains(text, cfg.Password.Reveal()) {
					t.Errorf("the password shows in %s", text)
				}
			}
		})
	}
}

func TestTLS(t *testing.T) {
	server := shared.NeedPrivate(t)
	cfg := config(t)
	cfg.Endpoints = []string{server.TLSAddr()}
	cfg.TLS = &tls.Config{RootCAs: shared.Roots, MinVersion: tls.VersionTLS12}
	b := connect(t, cfg)
	declare(t, b, broker.Declaration{})
	publish(t, b, 0, 1000)
	r := open(t, b, 1)
	settle(t, r, read(t, r, numbers(0, 1000)...)...)

	cfg.TLS = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	var err error
	for cfg.Timeout = 300 * time.Millisecond; cfg.Timeout < time.Minute; cfg.Timeout *= 2 {
		// A server that is slow to answer is given more time.
		if _, err = rabbitmq.New(t.Context(), cfg); err == nil || strings.Contains(err.Error(), "set up TLS") && strings.Contains(err.Error(), "certificate") {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server that is not trusted: %v", err)
	}
}

func TestWithSeveralEndpointsOneThatAnswersIsEnough(t *testing.T) {
	cfg := config(t)
	cfg.Endpoints = append([]string{"127.0.0.1:1", "127.0.0.1:2"}, cfg.Endpoints...)
	b := connect(t, cfg)
	declare(t, b, broker.Declaration{})
	publish(t, b, 0, 3)
	read(t, open(t, b, 1), 0, 1, 2)
}

func TestADeadServerIsNamed(t *testing.T) {
	p := newProxy(t)
	cfg := p.through(t)
	b := connect(t, cfg)
	declare(t, b, broker.Declaration{Partitions: 2})
	p.refuse()
	eventually(t, func() error {
		if b.Problem() == nil {
			return errors.New("nothing is wrong")
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := b.Publish(ctx, []broker.Message{message(0, 0, 0), message(0, 1, 1)})
	var failed *broker.PublishError
	if !errors.As(err, &failed) || len(failed.Failed) != 2 {
		t.Fatalf("nothing can have been sent, and the answer is %v", err)
	}
	_, backlogErr := b.Backlog(ctx, queue)
	for what, err := range map[string]error{
		"publish":       failed.Failed[0],
		"publish ":      failed.Failed[1],
		"count backlog": backlogErr,
		"declare":       b.Declare(ctx, broker.Declaration{Queue: "another", Partitions: 1}),
	} {
		if err == nil || !strings.Contains(err.Error(), cfg.Endpoints[0]) || !strings.Contains(err.Error(), strings.TrimSpace(what)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	p.admit()
	publish(t, b, 0, 3)
	read(t, open(t, b, 1), 0, 1, 2)
}

func TestAQueueThatExistsOtherwiseIsNamedWithItsDifference(t *testing.T) {
	cfg := config(t)
	ch := raw(t)
	if _, err := ch.QueueDeclare(cfg.Prefix+"."+queue+".1", true, false, false, false, amqp.Table{"x-queue-type": "quorum", "x-delivery-limit": int64(7)}); err != nil {
		t.Fatal(err)
	}
	b := connect(t, cfg)
	err := b.Declare(within(t), broker.Declaration{Queue: queue, Partitions: 2})
	for _, word := range []string{cfg.Prefix + "." + queue + ".1", "exists", "x-", "prefix", "delete"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Fatalf("the error does not say %q: %v", word, err)
		}
	}
	other := config(t)
	if err := raw(t).ExchangeDeclare(other.Prefix+".dead", "direct", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := rabbitmq.New(within(t), other); err == nil || !strings.Contains(err.Error(), other.Prefix+".dead") || !strings.Contains(err.Error(), "exists") {
		t.Errorf("an exchange of another kind: %v", err)
	}
}

func TestWhatTheServerGivesUpOnIsKept(t *testing.T) {
	cfg := config(t)
	b := connect(t, cfg)
	declare(t, b, broker.Declaration{})
	publish(t, b, 0, 1)
	ch := raw(t)
	given, err := ch.Consume(b.ServerName(queue, 0), "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := (<-given).Reject(false); err != nil {
		t.Fatal(err)
	}
	dead, err := ch.Consume(cfg.Prefix+".dead", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case d := <-dead:
		want := message(0, 0, 0)
		if d.MessageId != want.ID.String() || d.RoutingKey != b.ServerName(queue, 0) || string(d.Body) != string(want.Body) {
			t.Errorf("the dead queue has %s of %s", d.MessageId, d.RoutingKey)
		}
	case <-within(t).Done():
		t.Error("the message is gone")
	}
}

func TestAReaderInAnotherProcessEndsTheOneBefore(t *testing.T) {
	cfg := config(t)
	old, fresh := connect(t, cfg), connect(t, cfg)
	declare(t, old, broker.Declaration{})
	publish(t, old, 0, 4)
	publish(t, old, 4, 10)
	first := open(t, old, 5)
	settle(t, first, read(t, first, numbers(0, 10)...)[:4]...)
	second := open(t, fresh, 6)
	if ds, err := first.Next(within(t), broker.Limit{Tasks: 1}); !errors.Is(err, broker.ErrFenced) {
		t.Errorf("the old reader got %d messages and %v", len(ds), err)
	}
	read(t, second, numbers(4, 10)...)
	if _, err := old.Open(within(t), queue, 0, 5); !errors.Is(err, broker.ErrFenced) {
		t.Errorf("an old epoch was opened: %v", err)
	}
}

func TestAReaderThatWasAwayHearsThatItsPlaceIsTaken(t *testing.T) {
	p := newProxy(t)
	away := connect(t, p.through(t))
	cfg := config(t)
	cfg.Prefix = away.Prefix()
	here := connect(t, cfg)
	declare(t, away, broker.Declaration{})
	publish(t, here, 0, 10)
	first := open(t, away, 5)
	read(t, first, numbers(0, 10)...)
	p.refuse()
	read(t, open(t, here, 6), numbers(0, 10)...)
	p.admit()
	if ds, err := first.Next(within(t), broker.Limit{Tasks: 1}); !errors.Is(err, broker.ErrFenced) {
		t.Errorf("the old reader got %d messages and %v", len(ds), err)
	}
}

func TestAQueueRemovedByAnotherProcessIsNotThere(t *testing.T) {
	cfg := config(t)
	one, other := connect(t, cfg), connect(t, cfg)
	declare(t, one, broker.Declaration{Partitions: 2})
	publish(t, one, 0, 1)
	r := open(t, one, 1)
	read(t, r, 0)
	if err := other.Remove(within(t), queue); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(within(t), broker.Limit{Tasks: 1}); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("the reader got %v", err)
	}
	err := one.Publish(within(t), []broker.Message{message(0, 1, 0), message(0, 2, 1)})
	var failed *broker.PublishError
	if !errors.As(err, &failed) || !errors.Is(failed.Failed[0], broker.ErrNoQueue) || !errors.Is(failed.Failed[1], broker.ErrNoQueue) {
		t.Errorf("publish: %v", err)
	}
}

func TestLimitsCountWhatOtherProcessesPublish(t *testing.T) {
	cfg := config(t)
	cfg.Refresh = 5 * time.Millisecond
	one, other := connect(t, cfg), connect(t, cfg)
	declare(t, one, broker.Declaration{MaxTasks: 50})
	declare(t, other, broker.Declaration{})
	publish(t, other, 0, 100)
	n := 100
	eventually(t, func() error {
		err := one.Publish(within(t), []broker.Message{message(0, n, 0)})
		n++
		if !errors.Is(err, broker.ErrFull) {
			return errors.Join(errors.New("it was taken"), err)
		}
		return nil
	})
}
