package brokertest

import (
	"runtime"
	"testing"

	"github.com/fenfa/fenfa/internal/broker"
)

//nolint:gochecknoglobals // A list of tests.
var limitTests = []test{
	{"a full backlog refuses tasks until some are settled", fullOfTasks},
	{"a backlog full of bytes refuses tasks", fullOfBytes},
	{"a full backlog takes what is owed", owed},
	{"the backlog counts what is not settled", backlog},
	{"the backlog is known after reopening", backlogAfterReopen},
}

func fullOfTasks(t *testing.T, h *Harness) {
	declareAs(t, h, broker.Declaration{Queue: queue, Partitions: 2, MaxTasks: 5})
	m := maker{name: "a"}
	batch := m.some(8, 0)
	batch[1].Partition = 1
	wantFailures(t, failures(t, h, batch...), map[int]error{5: broker.ErrFull, 6: broker.ErrFull, 7: broker.ErrFull})
	r := openReader(t, h, 0, 1)
	settle(t, r, read(t, r, 4)[:2])
	wantFailures(t, failures(t, h, batch[5:]...), map[int]error{2: broker.ErrFull})
	declareAs(t, h, broker.Declaration{Queue: queue, Partitions: 2, MaxTasks: 6})
	publish(t, h, batch[7])
	wantMessages(t, read(t, r, 3), batch[5:])
}

func fullOfBytes(t *testing.T, h *Harness) {
	declareAs(t, h, broker.Declaration{Queue: queue, Partitions: 1, MaxBytes: 2000})
	m := maker{name: "a"}
	batch := m.some(4, 0)
	for i := range batch {
		batch[i].Body = make([]byte, 900)
	}
	batch[3].Body = make([]byte, 100)
	wantFailures(t, failures(t, h, batch...), map[int]error{2: broker.ErrFull})
	r := openReader(t, h, 0, 1)
	settle(t, r, read(t, r, 3)[:1])
	publish(t, h, batch[2])
	wantMessages(t, read(t, r, 1), batch[2:3])
}

func owed(t *testing.T, h *Harness) {
	declareAs(t, h, broker.Declaration{Queue: queue, Partitions: 1, MaxTasks: 1, MaxBytes: 1})
	m := maker{name: "a"}
	batch := m.some(4, 0)
	for i := range batch[:3] {
		batch[i].Owed = true
	}
	wantFailures(t, failures(t, h, batch...), map[int]error{3: broker.ErrFull})
	wantMessages(t, read(t, openReader(t, h, 0, 1), 3), batch[:3])
}

// wantTasks returns the backlog, which is to have so many tasks: at once where
// counts are exact, and elsewhere when what is under way has arrived.
func wantTasks(t *testing.T, h *Harness, tasks int64) broker.Backlog {
	t.Helper()
	ctx := within(t)
	for {
		b, err := h.Broker.Backlog(ctx, queue)
		if err == nil && b.Tasks == tasks {
			return b
		}
		if err != nil || h.Broker.Capabilities().ExactBacklog {
			t.Fatalf("the backlog is %d tasks, %v; want %d", b.Tasks, err, tasks)
		}
		runtime.Gosched()
	}
}

func wantBacklog(t *testing.T, h *Harness, tasks, bytes int64) {
	t.Helper()
	b := wantTasks(t, h, tasks)
	if b.Bytes != bytes && (h.Broker.Capabilities().ExactBacklog || tasks == 0) {
		t.Errorf("the backlog is %d tasks, %d bytes; want %d bytes", b.Tasks, b.Bytes, bytes)
	}
	if tasks == 0 && !b.Oldest.IsZero() {
		t.Errorf("an empty backlog has an oldest message of %v", b.Oldest)
	}
}

func backlog(t *testing.T, h *Harness) {
	declare(t, h, 2)
	wantBacklog(t, h, 0, 0)
	m := maker{name: "a"}
	batch := m.some(10, 0)
	for i := range batch {
		batch[i].Partition = i % 2
		batch[i].Body = make([]byte, 10+i)
	}
	publish(t, h, batch...)
	wantBacklog(t, h, 10, 145)
	r := openReader(t, h, 1, 1)
	ds := read(t, r, 5)
	wantBacklog(t, h, 10, 145)
	settle(t, r, ds[:2])
	wantBacklog(t, h, 8, 145-11-13)
	settle(t, r, ds)
	wantBacklog(t, h, 5, 70)
	r = openReader(t, h, 0, 1)
	settle(t, r, read(t, r, 5))
	wantBacklog(t, h, 0, 0)
}

func backlogAfterReopen(t *testing.T, h *Harness) {
	declare(t, h, 2)
	m := maker{name: "a"}
	batch := m.some(20, 0)
	for i := range batch {
		batch[i].Body = make([]byte, 100)
	}
	publish(t, h, batch...)
	before, err := h.Broker.Backlog(within(t), queue)
	if err != nil {
		t.Fatal(err)
	}
	r := openReader(t, h, 0, 1)
	settle(t, r, read(t, r, 20)[10:17])
	h.reopen(t)
	wantBacklog(t, h, 13, 1300)
	after, err := h.Broker.Backlog(within(t), queue)
	if err != nil || !after.Oldest.Equal(before.Oldest) {
		t.Errorf("the oldest message is of %v, %v; want %v", after.Oldest, err, before.Oldest)
	}
	publish(t, h, m.some(2, 1)...)
	r = openReader(t, h, 0, 2)
	settle(t, r, read(t, r, 13))
	r = openReader(t, h, 1, 2)
	settle(t, r, read(t, r, 2))
	wantBacklog(t, h, 0, 0)
}
