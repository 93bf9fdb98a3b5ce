package rabbitmq

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// TestUrgentMessagesOvertakeABacklog bridges messages into a queue with priorities,
// whose logs are on the server too.
func TestUrgentMessagesOvertakeABacklog(t *testing.T) {
	const plain, urgent = 600, 20
	server := serverConfig(t)
	address := shared.Address
	if shared.Cluster != nil {
		address = shared.Cluster.Address()
	}
	n := fenfatest.Start(t, fenfatest.WithBroker(address), fenfatest.WithPartitions(1),
		fenfatest.WithQueue(fenfa.Queue{Name: "mail", Priorities: fenfa.SwitchOn}))
	r := dialRabbit(t)
	queue := r.declare("classic", nil)
	messages := make([]amqp.Publishing, plain+urgent)
	for i := range messages {
		messages[i] = amqp.Publishing{MessageId: fmt.Sprint("m-", i), Type: "plain", Body: []byte("{}")}
		if i >= plain {
			messages[i].Type, messages[i].Priority = "urgent", urgentPriority
		}
	}
	r.publish(queue, messages...)
	counts := move(t, InConfig{Server: server, Client: n.Client(), Queue: queue, To: "mail", UntilEmpty: true, Prefetch: 200})
	if counts.Confirmed != plain+urgent {
		t.Fatalf("counts are %+v", counts)
	}
	n.Restart()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ready := int64(0); ready < plain+urgent; {
		q, err := n.Client().DescribeQueue(ctx, "mail")
		if ready = q.Stats.Ready; err != nil {
			t.Fatalf("%d of %d tasks were read: %v", ready, plain+urgent, err)
		}
		<-ticker.C
	}
	var before, hasty atomic.Int64
	done := make(chan int64, 1)
	w := n.Client().Worker(fenfa.Concurrency(2))
	w.Handle("mail", func(_ context.Context, task *fenfa.Task) error {
		switch {
		case task.Type() == "plain":
			before.Add(1)
		case hasty.Add(1) == urgent:
			done <- before.Load()
		}
		return nil
	})
	n.Run(w)
	select {
	case got := <-done:
		if got > plain/2 {
			t.Errorf("%d of %d messages ran before the last of %d urgent ones behind them", got, plain, urgent)
		}
	case <-ctx.Done():
		t.Fatal("not all urgent messages ran")
	}
}

// urgentPriority is that of a message whose task is high.
const urgentPriority = 9
