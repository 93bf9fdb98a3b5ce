package rabbitmq

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
			var messages []amqp.Publishing
			for i := range count {
				messages = append(messages, amqp.Publishing{
					MessageId: fmt.Sprint(i), Headers: amqp.Table{"customer": int32(i % keys)}, CorrelationId: "c", Body: fmt.Append(nil, i),
				})
			}
			r.publish(queue, messages...)
			counts := move(t, InConfig{Server: server, Client: n.Client(), Queue: queue, To: "orders", Key: KeyRule{Header: "customer"}, UntilEmpty: true, Prefetch: 100})
			if counts.Taken != count || counts.Confirmed != count || counts.Duplicate+counts.Refused+counts.WithoutKey != 0 {
				t.Errorf("counts are %+v", counts)
			}
			if depth := r.depth(queue); depth != 0 {
				t.Errorf("%d messages are left", depth)
			}
			checkOrder(t, watch(n, "orders").await(t, count), count, keys)
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

var _ = []any{json.Marshal, errors.Is, os.Open, filepath.Join, strings.Cut, time.Now}
