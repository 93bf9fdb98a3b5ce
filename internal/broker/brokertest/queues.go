package brokertest

import (
	"errors"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
)

//nolint:gochecknoglobals // A list of tests.
var queueTests = []test{
	{"a queue that was not declared is refused everywhere", undeclared},
	{"one wrong message does not stop the others of its call", someWrong},
	{"declaring again keeps what is there", declareAgain},
	{"queues that cannot exist are refused", badQueues},
	{"a removed queue is gone, and empty when declared again", removed},
	{"an empty call does nothing", emptyCall},
}

func undeclared(t *testing.T, h *Harness) {
	one := (&maker{name: "a"}).one(0)
	wantFailures(t, failures(t, h, one), map[int]error{0: broker.ErrNoQueue})
	if _, err := h.Broker.Open(within(t), queue, 0, 1); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("open: %v", err)
	}
	if _, err := h.Broker.Backlog(within(t), queue); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("backlog: %v", err)
	}
	if err := h.Broker.Remove(within(t), queue); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("remove: %v", err)
	}
	declare(t, h, 2)
	if _, err := h.Broker.Open(within(t), queue, 2, 1); err == nil {
		t.Error("a partition that does not exist was opened")
	}
}

func someWrong(t *testing.T, h *Harness) {
	declare(t, h, 2)
	m := maker{name: "a"}
	batch := m.some(6, 0)
	batch[1].Queue = "nowhere"
	batch[4].Queue = "nowhere"
	wantFailures(t, failures(t, h, batch...), map[int]error{1: broker.ErrNoQueue, 4: broker.ErrNoQueue})
	r := openReader(t, h, 0, 1)
	wantMessages(t, read(t, r, 4), []broker.Message{batch[0], batch[2], batch[3], batch[5]})
	outside := m.some(3, 0)
	outside[0].Partition, outside[1].Partition = -1, 2
	if got := failures(t, h, outside...); len(got) != 2 || got[0] == nil || got[1] == nil {
		t.Errorf("partitions that do not exist: %v", got)
	}
	wantMessages(t, read(t, r, 1), outside[2:])
	// What was refused may be published where it belongs.
	batch[1].Queue = queue
	publish(t, h, batch[1])
	wantMessages(t, read(t, r, 1), batch[1:2])
}

func declareAgain(t *testing.T, h *Harness) {
	declare(t, h, 2)
	batch := (&maker{name: "a"}).some(5, 1)
	publish(t, h, batch...)
	declare(t, h, 2)
	declareAs(t, h, broker.Declaration{Queue: queue, Partitions: 2, MaxTasks: 1000, DedupeWindow: time.Minute})
	if h.Reopen != nil {
		h.reopen(t)
		declare(t, h, 2)
	}
	wantMessages(t, read(t, openReader(t, h, 1, 1), 5), batch)
}

func badQueues(t *testing.T, h *Harness) {
	for name, d := range map[string]broker.Declaration{
		"no name":       {Partitions: 1},
		"bad name":      {Queue: "a b", Partitions: 1},
		"no partitions": {Queue: queue},
		"too many":      {Queue: queue, Partitions: 1 << 20},
	} {
		if err := h.Broker.Declare(within(t), d); err == nil {
			t.Errorf("%s: declared", name)
		}
	}
}

func removed(t *testing.T, h *Harness) {
	declare(t, h, 2)
	declareAs(t, h, broker.Declaration{Queue: "other", Partitions: 2})
	m := maker{name: "a"}
	batch := m.some(50, 0)
	publish(t, h, batch...)
	kept := m.one(0)
	kept.Queue = "other"
	publish(t, h, kept)
	r := openReader(t, h, 0, 1)
	settle(t, r, read(t, r, 10))
	if err := h.Broker.Remove(within(t), queue); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(within(t), broker.Limit{Tasks: 1}); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("the reader of a removed queue got %v", err)
	}
	wantFailures(t, failures(t, h, m.one(0)), map[int]error{0: broker.ErrNoQueue})
	declare(t, h, 2)
	if backlog, err := h.Broker.Backlog(within(t), queue); err != nil || backlog.Tasks != 0 || backlog.Bytes != 0 {
		t.Errorf("the queue that was declared again holds %+v, %v", backlog, err)
	}
	// Its tasks were forgotten with it.
	publish(t, h, batch[:3]...)
	if h.Reopen != nil {
		h.reopen(t)
	}
	wantMessages(t, read(t, openReader(t, h, 0, 2), 3), batch[:3])
	other, err := h.Broker.Open(within(t), "other", 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	wantMessages(t, read(t, other, 1), []broker.Message{kept})
}

func emptyCall(t *testing.T, h *Harness) {
	publish(t, h)
	declare(t, h, 1)
	publish(t, h)
}
