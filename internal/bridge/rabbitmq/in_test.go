package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

func TestMessagesBecomeTasksInOrder(t *testing.T) {
	for _, kind := range []string{"classic", "quorum"} {
		t.Run(kind, func(t *testing.T) {
			server := serverConfig(t)
			n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "orders", Order: fenfa.OrderKey}))
			r := dialRabbit(t)
			queue := r.declare(kind, nil)
			const count, keys = 500, 7
			r.publish(queue, numbered(count, keys)...)
			counts := move(t, InConfig{Server: server, Client: n.Client(), Queue: queue, To: "orders", Key: KeyRule{Header: "customer"}, UntilEmpty: true, Prefetch: 100})
			if counts.Taken != count || counts.Confirmed != count || counts.Duplicate+counts.Refused+counts.WithoutKey != 0 {
				t.Errorf("counts are %+v", counts)
			}
			if depth := r.depth(queue); depth != 0 {
				t.Errorf("%d messages are left", depth)
			}
			checkOrder(t, watch(n).await(t, count), count, keys)
		})
	}
}

// checkOrder fails unless each number below count came once, and the numbers of
// each key in order.
func checkOrder(t *testing.T, tasks []got, count, keys int) {
	t.Helper()
	last := make(map[string]int)
	if len(tasks) != count {
		t.Errorf("%d tasks, want %d", len(tasks), count)
	}
	for _, task := range tasks {
		var number int
		if _, err := fmt.Sscan(task.payload, &number); err != nil {
			t.Fatal(err)
		}
		if task.key != fmt.Sprint(number%keys) {
			t.Fatalf("task %d has the key %q", number, task.key)
		}
		before, ok := last[task.key]
		if want := number % keys; ok && number != before+keys || !ok && number != want {
			t.Fatalf("of key %s, %d came after %d", task.key, number, before)
		}
		last[task.key] = number
	}
}

// tripwire submits, and does something once when so many tasks went through it.
type tripwire struct {
	Submitter

	passed atomic.Int64
	at     int64
	trip   func()
	crash  bool // the answers get lost from then on
}

// SubmitBatch implements Submitter.
func (w *tripwire) SubmitBatch(ctx context.Context, tasks []*fenfa.Task) ([]fenfa.SubmitResult, error) {
	results, err := w.Submitter.SubmitBatch(ctx, tasks)
	passed := w.passed.Add(int64(len(tasks)))
	if passed < w.at {
		return results, err
	}
	if passed-int64(len(tasks)) < w.at {
		w.trip()
	}
	if w.crash {
		for i := range results {
			results[i].Err = fenfa.ErrUnavailable
		}
	}
	return results, err
}

// numbered makes messages whose bodies are the numbers below count.
func numbered(count, keys int) (messages []amqp.Publishing) {
	for i := range count {
		messages = append(messages, amqp.Publishing{
			MessageId: fmt.Sprint(i), Headers: amqp.Table{"customer": int32(i % keys)}, CorrelationId: "c", Body: fmt.Append(nil, i),
		})
	}
	return messages
}

func TestTwentyThousandMessagesThroughCrashesAndARestart(t *testing.T) {
	const count, keys, crashes = 20_000, 50, 3
	server := shared.NeedPrivate(t)
	n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "orders", Order: fenfa.OrderKey}))
	r := dialRabbit(t)
	queue := r.declare("quorum", amqp.Table{"x-single-active-consumer": true})
	r.publish(queue, numbered(count, keys)...)
	cfg := InConfig{Server: serverConfig(t), Client: n.Client(), Queue: queue, To: "orders", Key: KeyRule{Header: "customer"}, Prefetch: 1000}
	for range crashes {
		// What fenfa confirmed from then on is not acked, as if the process were gone.
		wire := &tripwire{Submitter: n.Client(), at: 3000, crash: true}
		crashing := cfg
		crashing.Client = wire
		var bridge *running
		started := make(chan struct{})
		wire.trip = func() { <-started; bridge.cancel() }
		bridge = start(t, crashing)
		close(started)
		if err := bridge.wait(); err != nil {
			t.Fatal(err)
		}
		if c := bridge.in.Counts(); c.Confirmed >= wire.passed.Load() {
			t.Fatalf("%d of %d are confirmed: nothing was lost in the crash", c.Confirmed, wire.passed.Load())
		}
	}
	killed := make(chan struct{})
	wire := &tripwire{Submitter: n.Client(), at: 4000, trip: func() { close(killed) }}
	cfg.Client, cfg.UntilEmpty = wire, true
	bridge := start(t, cfg)
	<-killed
	if err := errors.Join(server.Kill(), server.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := bridge.wait(); err != nil {
		t.Fatal(err)
	}
	counts := bridge.in.Counts()
	t.Logf("%+v", counts)
	if counts.Duplicate == 0 || counts.Reconnects == 0 || counts.Refused != 0 {
		t.Errorf("counts are %+v: the crashes should show as duplicates", counts)
	}
	if depth := dialRabbit(t).depth(queue); depth != 0 {
		t.Errorf("%d messages are left", depth)
	}
	checkOrder(t, watch(n).await(t, count), count, keys)
}

func TestANodeThatRestartsIsWaitedFor(t *testing.T) {
	const count, keys = 3000, 20
	server := serverConfig(t)
	n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "orders", Order: fenfa.OrderKey}))
	r := dialRabbit(t)
	queue := r.declare("classic", nil)
	r.publish(queue, numbered(count, keys)...)
	half := make(chan struct{})
	wire := &tripwire{Submitter: n.Client(), at: 1000, trip: func() { close(half) }}
	bridge := start(t, InConfig{Server: server, Client: wire, Queue: queue, To: "orders", Key: KeyRule{Header: "customer"}, UntilEmpty: true, Prefetch: 200})
	<-half
	n.Restart()
	if err := bridge.wait(); err != nil {
		t.Fatal(err)
	}
	if depth := r.depth(queue); depth != 0 {
		t.Errorf("%d messages are left", depth)
	}
	checkOrder(t, watch(n).await(t, count), count, keys)
}

func TestSeveralBridgesShareAQueue(t *testing.T) {
	const count = 3000
	server := serverConfig(t)
	n := fenfatest.Start(t, fenfatest.WithQueues("orders"))
	r := dialRabbit(t)
	queue := r.declare("quorum", nil)
	r.publish(queue, numbered(count, 1)...)
	var bridges []*running
	for range 3 {
		bridges = append(bridges, start(t, InConfig{Server: server, Client: n.Client(), Queue: queue, To: "orders", UntilEmpty: true, Prefetch: 100}))
	}
	confirmed := int64(0)
	for _, b := range bridges {
		if err := b.wait(); err != nil {
			t.Fatal(err)
		}
		confirmed += b.in.Counts().Confirmed
	}
	if confirmed != count || r.depth(queue) != 0 {
		t.Errorf("%d of %d are confirmed, %d are left", confirmed, count, r.depth(queue))
	}
	seen := make(map[string]bool)
	for _, task := range watch(n).await(t, count) {
		seen[task.payload] = true
	}
	if len(seen) != count {
		t.Errorf("%d of %d messages became tasks", len(seen), count)
	}
}

func TestEqualMessagesWithoutMessageID(t *testing.T) {
	server := serverConfig(t)
	n := fenfatest.Start(t, fenfatest.WithQueues("orders"))
	r := dialRabbit(t)
	equal := []amqp.Publishing{{Body: []byte("a")}, {Body: []byte("a")}, {Body: []byte("b")}}
	for rule, want := range map[IDRule]InCounts{
		IDAuto:    {Taken: 3, Confirmed: 2, Duplicate: 1, Equal: 1},
		IDRandom:  {Taken: 3, Confirmed: 3},
		IDMessage: {Taken: 3, Refused: 3},
	} {
		queue := r.name + string(rule)
		if _, err := r.ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		r.publish(queue, equal...)
		counts := move(t, InConfig{Server: server, Client: n.Client(), Queue: queue, To: "orders", ID: rule, UntilEmpty: true, Refused: RefusedReject})
		if counts != want {
			t.Errorf("%s: counts are %+v, want %+v", rule, counts, want)
		}
	}
}

func TestRefusedMessagesAreDeadLettersOfTheirQueue(t *testing.T) {
	server := serverConfig(t)
	n := fenfatest.Start(t, fenfatest.WithQueues("orders"))
	r := dialRabbit(t)
	dead := r.declare("classic", nil)
	queue := r.declare("quorum", amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
	large := amqp.Publishing{MessageId: "large", Body: make([]byte, 1<<20+1)}
	notText := amqp.Publishing{MessageId: "not text", Headers: amqp.Table{"h": "\xff"}}
	r.publish(queue, amqp.Publishing{MessageId: "1"}, large, notText, amqp.Publishing{MessageId: "2"})
	cfg := InConfig{Server: server, Client: n.Client(), Queue: queue, To: "orders", UntilEmpty: true}
	stopped := start(t, cfg)
	if err := stopped.wait(); !errors.Is(err, ErrRefused) || stopped.in.Counts().Refused == 0 {
		t.Fatalf("it ended with %v", err)
	}
	cfg.Refused = RefusedReject
	if c := move(t, cfg); c.Refused != 2 {
		t.Errorf("counts are %+v", c)
	}
	deliveries, err := r.ch.ConsumeWithContext(t.Context(), dead, "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if d := <-deliveries; d.MessageId != "large" && d.MessageId != "not text" {
			t.Errorf("%q is a dead letter", d.MessageId)
		}
	}
	watch(n).await(t, 2)
}

func TestAMessageThatWasMovedWithOtherFlagsIsExplained(t *testing.T) {
	server := serverConfig(t)
	n := fenfatest.Start(t, fenfatest.WithQueues("orders"))
	r := dialRabbit(t)
	queue := r.declare("classic", nil)
	one := amqp.Publishing{MessageId: "1", Headers: amqp.Table{"customer": "c", "region": "r"}}
	cfg := InConfig{Server: server, Client: n.Client(), Queue: queue, To: "orders", Key: KeyRule{Header: "customer"}, UntilEmpty: true}
	for range 2 { // With the same flags the message is known.
		r.publish(queue, one)
		if c := move(t, cfg); c.Confirmed+c.Duplicate != 1 {
			t.Fatalf("counts are %+v", c)
		}
	}
	r.publish(queue, one)
	cfg.Key = KeyRule{Header: "region"}
	err := start(t, cfg).wait()
	for _, want := range []string{"moved before", "--key-*", "flags of before", `message-id "1"`} {
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func TestWhatCannotBeConsumedEndsTheRun(t *testing.T) {
	server := serverConfig(t)
	r := dialRabbit(t)
	stream := r.declare("stream", nil)
	r.publish(stream, amqp.Publishing{Body: []byte("1")})
	wrong := server
	wrong.Password = "wrong-and-not-shown"
	for name, tc := range map[string]struct {
		cfg  InConfig
		want string
	}{
		"no queue": {InConfig{Server: server, Queue: "not there"}, ErrNoQueue.Error()},
		"a stream": {InConfig{Server: server, Queue: stream}, ErrStream.Error()},
		"login":    {InConfig{Server: wrong, Queue: stream}, "refused the login"},
	} {
		tc.cfg.Client, tc.cfg.To = &submitter{attempts: make(map[string]int)}, "orders"
		err := start(t, tc.cfg).wait()
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "wrong-and") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
