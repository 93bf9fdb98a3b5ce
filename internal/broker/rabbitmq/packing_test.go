package rabbitmq_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/rabbitmq"
)

// onServer returns how many messages the server has for a partition.
func onServer(t *testing.T, name string) int {
	t.Helper()
	q, err := raw(t).QueueDeclarePassive(name, true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q.Messages
}

func TestTheTasksOfACallForALogGoTogether(t *testing.T) {
	for name, c := range map[string]struct {
		calls, tasks, size int
		messages           int // for each of two partitions
	}{
		"single tasks":       {3, 2, 100, 3},
		"two each":           {3, 4, 100, 3},
		"as many as fit":     {1, 512, 10, 1},
		"one more":           {1, 514, 10, 2},
		"as large as fit":    {1, 4, 64_990, 1},
		"a little larger":    {1, 4, 65_010, 2},
		"larger than a pack": {1, 6, 200_000, 3},
	} {
		t.Run(name, func(t *testing.T) {
			b := connect(t, config(t))
			declare(t, b, broker.Declaration{Partitions: 2})
			want := make([][]broker.Message, 2)
			for call := range c.calls {
				var batch []broker.Message
				for i := range c.tasks {
					m := message(call, i, i%2)
					m.Body = append(m.Body[:10:10], make([]byte, c.size)...)
					batch = append(batch, m)
					want[i%2] = append(want[i%2], m)
				}
				if err := b.Publish(within(t), batch); err != nil {
					t.Fatal(err)
				}
			}
			for part := range 2 {
				if n := onServer(t, b.ServerName(queue, part)); n != c.messages {
					t.Errorf("partition %d has %d messages, want %d", part, n, c.messages)
				}
				r, err := b.Open(within(t), queue, part, 1)
				if err != nil {
					t.Fatal(err)
				}
				for at := 0; at < len(want[part]); {
					ds, err := r.Next(within(t), broker.Limit{Tasks: 7})
					if err != nil {
						t.Fatal(err)
					}
					for i := range ds {
						if m := want[part][at]; ds[i].ID != m.ID || string(ds[i].Body) != string(m.Body) {
							t.Fatalf("task %d of partition %d is %s", at, part, ds[i].ID)
						}
						at++
					}
					settle(t, r, ds...)
				}
			}
			awaitBacklog(t, b, 0)
		})
	}
}

func awaitBacklog(t *testing.T, b *rabbitmq.Broker, tasks int64) {
	t.Helper()
	eventually(t, func() error {
		backlog, err := b.Backlog(within(t), queue)
		if err == nil && backlog.Tasks != tasks {
			err = fmt.Errorf("the backlog is %d tasks, want %d", backlog.Tasks, tasks)
		}
		return err
	})
}

func TestAMessageStaysUntilItsLastTaskIsSettled(t *testing.T) {
	p := newProxy(t)
	crashed := connect(t, p.through(t))
	declare(t, crashed, broker.Declaration{})
	publish(t, crashed, 0, 10)
	publish(t, crashed, 10, 20)
	publish(t, crashed, 20, 30)
	r := open(t, crashed, 1)
	ds := read(t, r, numbers(0, 25)...)
	settle(t, r, ds[1:20]...)
	awaitBacklog(t, crashed, 11)
	p.refuse()
	cfg := config(t)
	cfg.Prefix = crashed.Prefix()
	var got []int
	for _, d := range readTo(t, open(t, connect(t, cfg), 2), 29) {
		got = append(got, number(t, &d))
	}
	// The first message is held by its first task, and comes again as a whole to
	// whoever does not know what was settled of it. The ack of the second one may be
	// lost; it does not come in part.
	want := numbers(0, 30)
	if len(got) == 20 {
		want = slices.Delete(want, 10, 20)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the next process got %v", got)
	}
}

func TestAnotherProcessKnowsWhatWasSettledWhenTheOneBeforeEndedInOrder(t *testing.T) {
	cfg := config(t)
	first := connect(t, cfg)
	declare(t, first, broker.Declaration{})
	publish(t, first, 0, 100)
	publish(t, first, 100, 110)
	r := open(t, first, 1)
	half(t, r, read(t, r, numbers(0, 60)...))
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Twice: the second one has it from the first, which did not read.
	for range 2 {
		next := connect(t, cfg)
		awaitBacklog(t, next, 80)
		if err := next.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	next := connect(t, cfg)
	var want []int
	for n := range 110 {
		if n >= 60 || n%2 == 1 {
			want = append(want, n)
		}
	}
	r = open(t, next, 2)
	settle(t, r, read(t, r, want...)...)
	awaitBacklog(t, next, 0)
}

func TestAPackThatIsRefusedFailsForEachOfItsTasks(t *testing.T) {
	b := connect(t, config(t))
	declare(t, b, broker.Declaration{Partitions: 2})
	if _, err := raw(t).QueueDelete(b.ServerName(queue, 1), false, false, false); err != nil {
		t.Fatal(err)
	}
	var batch []broker.Message
	for n := range 20 {
		batch = append(batch, message(0, n, n%2))
	}
	err := b.Publish(within(t), batch)
	var failed *broker.PublishError
	if !errors.As(err, &failed) || len(failed.Failed) != 10 {
		t.Fatalf("publish: %v", err)
	}
	for i, err := range failed.Failed {
		if i%2 != 1 || !errors.Is(err, broker.ErrNoQueue) {
			t.Errorf("task %d: %v", i, err)
		}
	}
}
