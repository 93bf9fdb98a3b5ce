package server

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/task"
)

func leaseOf(bytes, tasks int) *task.Lease {
	l := &task.Lease{Queue: "orders"}
	for range tasks {
		l.Tasks = append(l.Tasks, task.Leased{Task: task.Task{Queue: "orders", Payload: make([]byte, bytes/tasks)}})
	}
	return l
}

func TestMessagesToAWorkerAreFewAndBounded(t *testing.T) {
	for _, c := range []struct {
		name     string
		batch    dispatch.Batch
		messages int
		most     int // bytes of one message
	}{
		{"many small leases", dispatch.Batch{Leases: repeat(leaseOf(100, 1), 1000), Verdicts: make([]task.Verdict, 1000)}, 1, messageBytes},
		{"ten megabytes of small leases", dispatch.Batch{Leases: repeat(leaseOf(10_000, 10), 1000)}, 11, messageBytes + 20_000},
		{"a big lease behind a small one", dispatch.Batch{Leases: []*task.Lease{leaseOf(1000, 1), leaseOf(3<<20, 3), leaseOf(1000, 1)}}, 3, 3<<20 + 10_000},
		{"two of a megabyte", dispatch.Batch{Leases: repeat(leaseOf(1<<20, 1), 2)}, 2, 1<<20 + 10_000},
		{"nothing but drain", dispatch.Batch{Drain: true}, 1, 100},
		{"drain with leases", dispatch.Batch{Drain: true, Leases: repeat(leaseOf(1<<20, 1), 2)}, 2, 1<<20 + 10_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &recorder{}
			if err := send(r, &c.batch); err != nil {
				t.Fatal(err)
			}
			leases, verdicts, drains := 0, 0, 0
			for _, m := range r.sent {
				leases += len(m.GetLeases())
				verdicts += len(m.GetVerdicts())
				if m.GetDrain() {
					drains++
				}
				if n := proto.Size(m); n > c.most {
					t.Errorf("a message has %d bytes, want at most %d", n, c.most)
				}
			}
			if leases != len(c.batch.Leases) || verdicts != len(c.batch.Verdicts) || (drains == 1) != c.batch.Drain {
				t.Errorf("sent %d leases, %d verdicts, %d drains", leases, verdicts, drains)
			}
			if len(r.sent) > c.messages {
				t.Errorf("%d messages, want at most %d", len(r.sent), c.messages)
			}
		})
	}
}

func repeat(l *task.Lease, n int) []*task.Lease {
	leases := make([]*task.Lease, n)
	for i := range leases {
		leases[i] = l
	}
	return leases
}
