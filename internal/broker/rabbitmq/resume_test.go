package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/rabbitmq"
)

// half settles every other delivery and returns the others.
func half(t *testing.T, r broker.Reader, ds []broker.Delivery) (open []broker.Delivery) {
	t.Helper()
	var done []broker.Delivery
	for i := range ds {
		if i%2 == 0 {
			done = append(done, ds[i])
		} else {
			open = append(open, ds[i])
		}
	}
	settle(t, r, done...)
	return open
}

// awaitResumed waits until readers went on so many times.
func awaitResumed(t *testing.T, b *rabbitmq.Broker, times int) {
	t.Helper()
	eventually(t, func() error {
		if n := b.Resumed(); n < float64(times) {
			return fmt.Errorf("readers resumed %v times", n)
		}
		return nil
	})
}

// number returns which of the messages of publisher 0 a delivery is.
func number(t *testing.T, d *broker.Delivery) int {
	t.Helper()
	var p, n int
	if _, err := fmt.Sscanf(string(d.Body), "%d %d", &p, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// readTo reads until it gets the message of this number.
func readTo(t *testing.T, r broker.Reader, last int) []broker.Delivery {
	t.Helper()
	var all []broker.Delivery
	for len(all) == 0 || number(t, &all[len(all)-1]) != last {
		ds, err := r.Next(within(t), broker.Limit{Tasks: 1})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ds...)
	}
	return all
}

func TestAReaderGoesOnWhereItWasAfterACut(t *testing.T) {
	p := newProxy(t)
	b := connect(t, p.through(t))
	declare(t, b, broker.Declaration{})
	publish(t, b, 0, 100)
	r := open(t, b, 1)
	given := read(t, r, numbers(0, 60)...)
	left := half(t, r, given[:30])
	rest := given[30:]
	last := given[59].Position
	settled := func(n int) bool {
		return n < 30 && (n%2 == 0 || !slices.ContainsFunc(left, func(d broker.Delivery) bool { return number(t, &d) == n }))
	}
	for cut := range 3 {
		p.cut()
		// What is settled now may be so before the message came again.
		settle(t, r, left[:3]...)
		left = left[3:]
		awaitResumed(t, b, cut+1)
		for _, d := range readTo(t, r, 69+10*cut) {
			if d.Position <= last {
				t.Errorf("position %d came behind %d", d.Position, last)
			}
			// An ack may get lost with a connection; what is held does not come twice.
			if n := number(t, &d); n < 60+10*cut && !settled(n) {
				t.Errorf("message %d came again while it was held", n)
			}
			last = d.Position
			rest = append(rest, d)
		}
	}
	settle(t, r, left...)
	settle(t, r, rest...)
	read(t, open(t, b, 2), numbers(90, 100)...)
}

func TestWhatWasNotSettledComesAgainToTheNextReaderAfterACut(t *testing.T) {
	p := newProxy(t)
	b := connect(t, p.through(t))
	declare(t, b, broker.Declaration{})
	publish(t, b, 0, 300)
	r := open(t, b, 1)
	half(t, r, read(t, r, numbers(0, 200)...))
	p.cut()
	awaitResumed(t, b, 1)
	readTo(t, r, 249)
	var got []int
	for _, d := range readTo(t, open(t, b, 2), 299) {
		got = append(got, number(t, &d))
	}
	if !slices.IsSorted(got) {
		t.Errorf("the next reader got %v", got)
	}
	for n := range 300 {
		// What was settled right before the cut may come again.
		if !slices.Contains(got, n) && (n%2 == 1 || n >= 200) {
			t.Errorf("message %d did not come again", n)
		}
	}
}

func TestNothingIsLostThroughCuts(t *testing.T) {
	p := newProxy(t)
	l := startLoad(t, connect(t, p.through(t)), 3)
	for cut := range 10 {
		l.await(100 + 37*cut)
		p.cut()
	}
	l.await(500)
	l.finish()
}

func TestAReaderSurvivesTheServersConsumerTimeout(t *testing.T) {
	server := shared.NeedPrivate(t)
	set := func(timeout, tick string) {
		t.Helper()
		if _, err := server.Control(t.Context(), "eval",
			"application:set_env(rabbit, consumer_timeout, "+timeout+"), application:set_env(rabbit, channel_tick_interval, "+tick+")."); err != nil {
			t.Error(err)
		}
	}
	set("200", "100")
	defer set("1800000", "60000")
	b := connect(t, config(t))
	declare(t, b, broker.Declaration{})
	publish(t, b, 0, 10)
	r := open(t, b, 1)
	held := read(t, r, numbers(0, 10)...)
	awaitResumed(t, b, 1)
	publish(t, b, 10, 12)
	more := read(t, r, 10, 11)
	settle(t, r, held...)
	settle(t, r, more...)
	eventually(t, func() error {
		backlog, err := b.Backlog(within(t), queue)
		if err == nil && backlog.Tasks > 0 {
			err = errors.New("tasks are left")
		}
		return err
	})
}

func TestAFrozenServerDoesNotKeepTheBrokerFromClosing(t *testing.T) {
	server := shared.NeedPrivate(t)
	b := connect(t, config(t))
	declare(t, b, broker.Declaration{})
	publish(t, b, 0, 1)
	r := open(t, b, 1)
	settle(t, r, read(t, r, 0)...)
	if err := server.Freeze(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := b.Close(ctx)
	if thawErr := server.Thaw(); thawErr != nil {
		t.Fatal(thawErr)
	}
	if err == nil {
		t.Error("the server cannot have answered")
	}
}

func TestAReaderKeepsLittleOfLargeMessages(t *testing.T) {
	cfg := config(t)
	cfg.ReadAhead = 256 << 10
	b := connect(t, cfg)
	declare(t, b, broker.Declaration{})
	var batch []broker.Message
	for n := range 600 {
		m := message(0, n, 0)
		if n < 400 {
			m.Body = append(m.Body, make([]byte, 100<<10)...)
		}
		batch = append(batch, m)
	}
	if err := b.Publish(within(t), batch); err != nil {
		t.Fatal(err)
	}
	r := open(t, b, 1)
	read := func(from, to int) {
		t.Helper()
		for from < to {
			ds, err := r.Next(within(t), broker.Limit{Tasks: min(3, to-from)})
			if err != nil {
				t.Fatal(err)
			}
			for i := range ds {
				if ds[i].ID != batch[from].ID {
					t.Fatalf("message %d is %q", from, ds[i].Body[:10])
				}
				from++
			}
			settle(t, r, ds...)
		}
	}
	read(0, 1)
	awaitResumed(t, b, 1)
	for at := 1; at < 400; at += 50 {
		read(at, min(at+50, 400))
		// What the kernel and the client hold comes in yet, and not all the rest.
		if bytes := b.Ahead(queue, 0); bytes > 16<<20 {
			t.Fatalf("with message %d the reader keeps %d bytes", at, bytes)
		}
	}
	read(400, 600)
}

func TestCallsThatTheServerDoesNotAnswerAreBounded(t *testing.T) {
	server := shared.NeedPrivate(t)
	cfg := config(t)
	cfg.Heartbeat = time.Minute // so that the connections last
	b := connect(t, cfg)
	declare(t, b, broker.Declaration{})
	if err := server.Freeze(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Thaw() }()
	eventually(t, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := b.Backlog(ctx, queue); err == nil || !strings.Contains(err.Error(), "has not answered many calls") {
			return fmt.Errorf("another call was made: %w", err)
		}
		return nil
	})
	if err := server.Thaw(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		_, err := b.Backlog(within(t), queue)
		return err
	})
}
