package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
	broker "github.com/fenfa/fenfa/internal/broker/rabbitmq"
)

// startOut runs a bridge out of fenfa until the test ends, or stop is called.
func startOut(t *testing.T, cfg OutConfig) (out *Out, stop func() error) {
	t.Helper()
	cfg.RetryBase, cfg.RetryMax, cfg.Logger = 10*time.Millisecond, 100*time.Millisecond, testLogger(t)
	out, err := NewOut(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	done := make(chan error, 1)
	go func() { done <- out.Run(ctx) }()
	ended := false
	stop = func() error {
		if ended {
			return nil
		}
		ended = true
		cancel()
		return <-done
	}
	t.Cleanup(func() { _ = stop() })
	return out, stop
}

// consume receives from a queue, and does not ack: what is on its way when the
// server ends is not lost.
func (r *rabbit) consume(queue string) <-chan amqp.Delivery {
	r.tb.Helper()
	deliveries, err := r.ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		r.tb.Fatal(err)
	}
	return deliveries
}

// consumeAgain consumes a queue of a server that has just started, which takes a
// while to open it.
func consumeAgain(t *testing.T, queue string) <-chan amqp.Delivery {
	t.Helper()
	ticker, deadline := time.NewTicker(100*time.Millisecond), time.After(patience)
	defer ticker.Stop()
	for {
		deliveries, err := dialRabbit(t).ch.Consume(queue, "", true, false, false, false, nil)
		if err == nil {
			return deliveries
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
}

func TestAnswersFindTheirWayBack(t *testing.T) {
	const count = 300
	server := serverConfig(t)
	n := fenfatest.Start(t, fenfatest.WithQueues("requests", "results"))
	r := dialRabbit(t)
	requests, answers := r.declare("quorum", nil), r.declare("classic", nil)
	var messages []amqp.Publishing
	for i := range count {
		messages = append(messages, amqp.Publishing{MessageId: fmt.Sprint(i), CorrelationId: fmt.Sprint("c-", i), ReplyTo: answers, Body: fmt.Append(nil, i)})
	}
	r.publish(requests, messages...)
	worker := n.Client().Worker()
	worker.Handle("requests", func(_ context.Context, task *fenfa.Task) error {
		task.Emit(fenfa.NewTask("results", "answer to "+string(task.Payload()),
			fenfa.Header(HeaderReplyTo, task.Header(HeaderReplyTo)), fenfa.Header(HeaderCorrelationID, task.Header(HeaderCorrelationID))))
		return nil
	})
	n.Run(worker)
	out, stop := startOut(t, OutConfig{Server: server, Client: n.Client(), From: "results", Route: Route{Reply: true}})
	move(t, InConfig{Server: server, Client: n.Client(), Queue: requests, To: "requests", UntilEmpty: true})
	deliveries, deadline := r.consume(answers), time.After(patience)
	for seen := make(map[string]bool); len(seen) < count; {
		select {
		case d := <-deliveries:
			number := strings.TrimPrefix(string(d.Body), "answer to ")
			if d.CorrelationId != "c-"+number || d.MessageId == "" || d.DeliveryMode != amqp.Persistent || d.Headers[HeaderQueue] != "results" {
				t.Fatalf("the answer is %+v", d)
			}
			seen[d.CorrelationId] = true
		case <-deadline:
			t.Fatalf("%d of %d answers came", len(seen), count)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if c := out.Counts(); c.Published < count || c.Rejected+c.Unroutable != 0 {
		t.Errorf("counts are %+v", c)
	}
}

func TestAMessageThatNoQueueTakesIsAFailedAttempt(t *testing.T) {
	server := serverConfig(t)
	n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{
		Name: "results", Retry: fenfa.RetryPolicy{MaxAttempts: 2, Base: time.Millisecond, Max: time.Millisecond, Factor: 1},
	}))
	out, _ := startOut(t, OutConfig{Server: server, Client: n.Client(), From: "results", Route: Route{Header: "to"}, Mandatory: true})
	for name, tc := range map[string]struct {
		opts []fenfa.TaskOption
		want string
	}{
		"unroutable": {[]fenfa.TaskOption{fenfa.Header("to", "nowhere")}, "no queue of RabbitMQ takes the message"},
		"no header":  {nil, `no header "to"`},
	} {
		id, err := n.Client().Submit(t.Context(), fenfa.NewTask("results", name, tc.opts...))
		if err != nil {
			t.Fatal(err)
		}
		if st := n.Await(t.Context(), id); st.State != fenfa.StateDead || !strings.Contains(fmt.Sprintf("%+v", st), tc.want) {
			t.Errorf("%s: %+v", name, st)
		}
	}
	if c := out.Counts(); c.Unroutable != 2 || c.Rejected != 1 || c.Published != 0 {
		t.Errorf("counts are %+v", c)
	}
}

func TestWithoutMandatoryTheServerDropsWhatNoQueueTakes(t *testing.T) {
	server := serverConfig(t)
	n := fenfatest.Start(t, fenfatest.WithQueues("results"))
	startOut(t, OutConfig{Server: server, Client: n.Client(), From: "results", Route: Route{Key: "nowhere"}})
	id, err := n.Client().Submit(t.Context(), fenfa.NewTask("results", nil))
	if err != nil {
		t.Fatal(err)
	}
	if st := n.Await(t.Context(), id); st.State != fenfa.StateDone {
		t.Errorf("the task is %s", st.State)
	}
}

func TestAnExchangeThatIsNotThereEndsTheRun(t *testing.T) {
	server := serverConfig(t)
	n := fenfatest.Start(t, fenfatest.WithQueues("results"))
	out, err := NewOut(OutConfig{Server: server, Client: n.Client(), From: "results", Route: Route{Exchange: "not there"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Run(t.Context()); !errors.Is(err, ErrNoExchange) {
		t.Errorf("it ended with %v", err)
	}
}

func TestWhileTheServerIsAwayTasksAreGivenBack(t *testing.T) {
	blocked := &outlet{blocked: newBlock(), closed: make(chan struct{})}
	blocked.blocked.set(true)
	for name, now := range map[string]*outlet{"no connection": nil, "an alarm": blocked} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &Out{cfg: OutConfig{Route: Route{Key: "answers"}}, publisher: newPublisher()}
				o.publisher.set(now, errors.New("nobody answers"))
				if err := o.handle(t.Context(), fenfa.NewTask("results", name)); !errors.Is(err, errAway) {
					t.Errorf("the handler ended with %v", err)
				}
				if c := o.Counts(); c != (OutCounts{GivenBack: 1}) {
					t.Errorf("counts are %+v", c)
				}
			})
		})
	}
}

// Between the end of a connection and the moment when that is known everywhere, the
// broken channel is still there.
func TestATaskOnABrokenChannelIsGivenBack(t *testing.T) {
	r := dialRabbit(t)
	if err := r.ch.Close(); err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	close(closed)
	o := &Out{cfg: OutConfig{Route: Route{Key: "answers"}}, publisher: newPublisher()}
	o.publisher.set(&outlet{ch: r.ch, closed: closed, why: errLost, blocked: newBlock()}, nil)
	if err := o.handle(t.Context(), fenfa.NewTask("results", "a")); !errors.Is(err, errAway) || !errors.Is(err, errLost) {
		t.Errorf("the handler ended with %v", err)
	}
	if c := o.Counts(); c != (OutCounts{GivenBack: 1}) {
		t.Errorf("counts are %+v", c)
	}
}

func TestAnAlarmThatBeginsAgainIsSeenAgain(t *testing.T) {
	b := newBlock()
	is := func() bool {
		select {
		case <-b.is():
			return true
		default:
			return false
		}
	}
	for _, blocked := range []bool{false, true, true, false, false, true} {
		if b.set(blocked); is() != blocked {
			t.Errorf("it says %v", is())
		}
	}
}

func TestAnOutageIsNoFailedAttempt(t *testing.T) {
	server := shared.NeedPrivate(t)
	n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "results", Retry: fenfa.RetryPolicy{MaxAttempts: 1}}))
	r := dialRabbit(t)
	queue := r.declare("quorum", nil)
	<-time.After(broker.DefaultNewQueue) // Servers before 4.0 forget a quorum queue that was made just before a kill.
	out, _ := startOut(t, OutConfig{Server: serverConfig(t), Client: n.Client(), From: "results", Route: Route{Key: queue}, Mandatory: true})
	var ids []fenfa.ID
	submit := func() {
		t.Helper()
		for i := range 10 {
			id, err := n.Client().Submit(t.Context(), fenfa.NewTask("results", i, fenfa.Key(fmt.Sprint(i%3))))
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
	}
	submit()
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	submit()
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if st := n.Await(t.Context(), id); st.State != fenfa.StateDone {
			t.Errorf("a task is %+v", st)
		}
	}
	if c := out.Counts(); c.Failed != 0 || c.Unroutable != 0 {
		t.Errorf("counts are %+v", c)
	}
}

func TestTasksArriveThoughTheServerRestarts(t *testing.T) {
	const count = 2000
	server := shared.NeedPrivate(t)
	n := fenfatest.Start(t, fenfatest.WithQueues("results"))
	r := dialRabbit(t)
	queue := r.declare("quorum", nil)
	settled := time.After(broker.DefaultNewQueue)
	tasks := make([]*fenfa.Task, count)
	for i := range tasks {
		tasks[i] = fenfa.NewTask("results", fmt.Sprint(i))
	}
	if _, err := n.Client().SubmitBatch(t.Context(), tasks); err != nil {
		t.Fatal(err)
	}
	out, stop := startOut(t, OutConfig{Server: serverConfig(t), Client: n.Client(), From: "results", Route: Route{Key: queue}, Mandatory: true, Concurrency: 20})
	early := r.consume(queue)
	seen := make(map[string]bool)
	for range 200 {
		d := <-early
		seen[d.MessageId] = true
	}
	<-settled // Servers before 4.0 forget a quorum queue that was made just before a kill.
	if err := errors.Join(server.Kill(), server.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	for d := range early {
		seen[d.MessageId] = true
	}
	late, deadline := consumeAgain(t, queue), time.After(patience)
	for len(seen) < count {
		select {
		case d := <-late:
			seen[d.MessageId] = true
		case <-deadline:
			t.Fatalf("%d of %d messages came", len(seen), count)
		}
	}
	for _, task := range tasks {
		if !seen[task.ID().String()] {
			t.Fatalf("task %s has not arrived", task.ID())
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if c := out.Counts(); c.Reconnects == 0 || c.Unroutable != 0 {
		t.Errorf("counts are %+v", c)
	}
}
