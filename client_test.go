package fenfa

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

func TestDialRefusesWhatCannotWork(t *testing.T) {
	for name, test := range map[string]struct {
		addr string
		opt  DialOption
	}{
		"no port":        {"127.0.0.1", WithLogger(nil)},
		"no host":        {":7400", WithLogger(nil)},
		"nothing":        {"", WithLogger(nil)},
		"dial timeout":   {"a:1", WithDialTimeout(0)},
		"submit timeout": {"a:1", WithSubmitTimeout(-1)},
		"linger":         {"a:1", WithLinger(time.Hour)},
		"max batch":      {"a:1", WithMaxBatch(0)},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Dial(test.addr, test.opt); CodeOf(err) != CodeInvalidArgument {
				t.Errorf("error %v, want an invalid argument", err)
			}
		})
	}
}

func TestTheTokenGoesWithEveryCall(t *testing.T) {
	b := bearer{func() (Secret, error) { return NewSecret("secret"), nil }}
	md, err := b.GetRequestMetadata(t.Context())
	if err != nil || md["authorization"] != "Bearer secret" || b.RequireTransportSecurity() {
		t.Errorf("metadata %v, %v", md, err)
	}
	n := startFake(t)
	c := dial(t, n, WithToken("secret"))
	if _, err := c.Health(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCallsSayWhyThereIsNoAnswer(t *testing.T) {
	n := startFake(t)
	n.stop()
	c := dial(t, n, WithDialTimeout(20*time.Millisecond))
	_, err := c.Health(t.Context())
	if CodeOf(err) != CodeUnavailable || !strings.Contains(err.Error(), n.addr) || !strings.Contains(err.Error(), "fenfa serve") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Health(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

func TestQueuesAreConfiguredAndDescribed(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	q := Queue{
		Name: "q", Order: OrderNone, OnDead: OnDeadHalt, Balance: Balance{Policy: BalanceConsistentHash, LoadBound: 1.5, Overflow: OverflowWait},
		Retry: RetryPolicy{Base: time.Second, Factor: 3, Max: time.Minute, MaxAttempts: 7}, Timeout: time.Minute, Batch: 8, MaxDeliveries: 9,
		DedupeWindow: time.Hour, ResultTTL: 2 * time.Hour, MaxBacklogTasks: 10, MaxBacklogBytes: 11,
		Share: 2.5, Placement: Placement{Require: []string{"gpu", "zone=eu"}, Prefer: []string{"!old"}},
		Concurrency: 12, KeyConcurrency: 2, Rate: Rate{PerSecond: 0.5, Burst: 3}, Priorities: SwitchOn,
	}
	for i := range 2 {
		now, created, err := c.ConfigureQueue(t.Context(), q)
		if err != nil || created != (i == 0) || !reflect.DeepEqual(now, q) {
			t.Errorf("configured %+v, created %v, %v; want %+v", now, created, err, q)
		}
	}
	info, err := c.DescribeQueue(t.Context(), "q")
	if err != nil || !reflect.DeepEqual(info.Queue, q) || info.Stats.BacklogTasks != 7 || !info.Stats.Oldest.Equal(time.Unix(5, 0)) ||
		info.Stats.StartP50 != time.Second || info.Stats.StartP99 != time.Minute {
		t.Errorf("described %+v, %v", info, err)
	}
	want := []WaitingClass{{Placement: Placement{Require: []string{"gpu"}, Prefer: []string{"zone=a"}}, Tasks: 2, Parked: true}, {Tasks: 1, Workers: 3}}
	if !reflect.DeepEqual(info.Stats.Waiting, want) {
		t.Errorf("waiting are %+v, want %+v", info.Stats.Waiting, want)
	}
	list, err := c.Queues(t.Context())
	if err != nil || len(list) != 1 || !reflect.DeepEqual(list[0].Queue, q) {
		t.Errorf("listed %+v, %v", list, err)
	}
	_, err = c.DescribeQueue(t.Context(), "none")
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeNotFound || e.Field != "name" || !strings.HasPrefix(err.Error(), "describe queue: ") {
		t.Errorf("error %v", err)
	}
	if _, _, err := c.ConfigureQueue(t.Context(), Queue{Name: "r", Batch: -1}); err != nil {
		t.Fatal(err)
	}
	if got := n.queues["r"]; got.GetBatch() != 1<<32-1 || got.GetRetry() != nil || got.GetBalance() != nil || got.GetTimeout() != nil || got.GetPlacement() != nil || got.GetShare() != 0 || got.Concurrency != nil || got.Rate != nil {
		t.Errorf("what is not given, or nonsense, went out as %v", got)
	}
}

func TestRecordsAreReadAndWritten(t *testing.T) {
	n := startFake(t)
	s := dial(t, n).State()
	version, err := s.Put(t.Context(), "k", "r", map[string]int{"n": 1}, 0)
	if err != nil || version == 0 {
		t.Fatal(version, err)
	}
	if _, err := s.Put(t.Context(), "k", "r", "x", 0); !errors.Is(err, ErrConflict) {
		t.Errorf("a write over another version: %v", err)
	}
	r, err := s.Get(t.Context(), "k", "r")
	var v map[string]int
	if err != nil || r.Version != version || r.Key != "k" || r.Name != "r" || r.Decode(&v) != nil || v["n"] != 1 {
		t.Errorf("record %+v, %v", r, err)
	}
	if version, err = s.PutAny(t.Context(), "k", "r", "any"); err != nil {
		t.Fatal(err)
	}
	list, next, err := s.Scan(t.Context(), "k", ScanOptions{Name: "r", Page: Page{Size: 5, Token: "t"}})
	if err != nil || next != "tnext" || len(list) != 1 || string(list[0].Value) != "any" {
		t.Errorf("scanned %+v, %q, %v", list, next, err)
	}
	if err := s.Delete(t.Context(), "k", "r", version); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(t.Context(), "k", "r"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a deleted record: %v", err)
	}
	changes, after, err := s.History(t.Context(), "k", "r", 4, 10)
	if err != nil || after != 5 || len(changes) != 1 {
		t.Fatal(changes, after, err)
	}
	ch := changes[0]
	if ch.Seq != 5 || ch.Op != "put" || ch.VersionBefore != 1 || ch.VersionAfter != 2 || ch.TaskID.IsZero() || ch.Attempt != 3 || ch.Node != "n" || ch.Worker != "w" || !ch.At.Equal(time.Unix(7, 0)) {
		t.Errorf("change %+v", ch)
	}
	for _, err := range []error{second(s.Put(t.Context(), "k", "r", func() {}, 0)), second(s.PutAny(t.Context(), "k", "r", func() {}))} {
		if CodeOf(err) != CodeInvalidArgument {
			t.Errorf("a value that is no JSON: %v", err)
		}
	}
}

func second(_ uint64, err error) error { return err }

func TestTasksAndDeadLettersAreShown(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	task := NewTask("q", "payload", Key("k"))
	submit(t, c, task)
	w := c.Worker()
	w.Handle("q", func(context.Context, *Task) error { return Reject(errors.New("no good")) })
	stop := work(t, w)
	n.awaitState(task, dead)
	if err := stop(); err != nil {
		t.Error(err)
	}
	st, err := c.Task(t.Context(), task.ID())
	if err != nil || st.ID != task.ID() || st.State != StateDead || !st.State.Final() || st.Queue != "q" || st.Key != "k" || st.Attempts != 1 || string(st.Task.Payload()) != "payload" {
		t.Errorf("status %+v, %v", st, err)
	}
	if _, err := c.Task(t.Context(), NewID()); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown task: %v", err)
	}
	list, next, err := c.DeadLetters(t.Context(), DeadFilter{Queue: "q"}, Page{Token: "a"})
	if err != nil || next != "a+" || len(list) != 1 || list[0].Task.ID() != task.ID() {
		t.Errorf("dead letters %+v, %q, %v", list, next, err)
	}
	d, err := c.DeadLetter(t.Context(), task.ID())
	if err != nil || d.Reason != "so" || d.Attempts != 1 || d.Deliveries != 1 || len(d.History) != 1 || d.History[0].Error != "no good" || !d.DiedAt.Equal(time.Unix(9, 0)) {
		t.Errorf("dead letter %+v, %v", d, err)
	}
	if _, err := c.DeadLetter(t.Context(), NewID()); !errors.Is(err, ErrNotFound) {
		t.Errorf("a task that is not dead: %v", err)
	}
}

func TestResultsAreDecoded(t *testing.T) {
	s := TaskStatus{Result: []byte(`{"a":1}`)}
	var v struct{ A int }
	if err := s.DecodeResult(&v); err != nil || v.A != 1 {
		t.Errorf("result %+v, %v", v, err)
	}
}

func TestHealthAndWorkersAreShown(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	h, err := c.Health(t.Context())
	want := Health{Node: "fake", Version: "1", Ready: true, Problems: []string{"none"}, StartedAt: time.Unix(1, 0).UTC(), Partitions: 16, Durability: "fsync"}
	if err != nil || !reflect.DeepEqual(h, want) {
		t.Errorf("health %+v, %v", h, err)
	}
	w := c.Worker(WorkerID("w"), Concurrency(3))
	w.Handle("q", func(context.Context, *Task) error { return nil })
	stop := work(t, w)
	n.await("the worker is there", func() bool { return len(n.sessions) == 1 })
	workers, err := c.Workers(t.Context())
	if err != nil || len(workers) != 1 || workers[0].ID != "w" || workers[0].Slots != 3 || workers[0].Queues[0] != "q" || workers[0].HeartbeatAge != time.Millisecond {
		t.Errorf("workers %+v, %v", workers, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestEveryStateOfTheWireHasAName(t *testing.T) {
	for number, name := range fenfav1.TaskState_name {
		want := strings.ToLower(strings.TrimPrefix(name, "TASK_STATE_"))
		if want == "unspecified" {
			want = "unknown"
		}
		if got := lifeStateOf(fenfav1.TaskState(number)); string(got) != want {
			t.Errorf("%s is called %s", name, got)
		}
	}
}

func TestLimitsAreSetChangedAndTakenAway(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	for _, change := range []struct {
		in          Queue
		concurrency string // of the queue, and of a key
		rate        string
	}{
		{Queue{Name: "q", Rate: Rate{Burst: 3}}, "unset, unset", "unset burst 3"},
		{Queue{Name: "q", Concurrency: 7, KeyConcurrency: 2, Rate: Rate{PerSecond: 0.5}}, "7, 2", "0.5 burst unset"},
		{Queue{Name: "q", Concurrency: NoLimit, KeyConcurrency: NoLimit, Rate: Rate{PerSecond: NoLimit, Burst: NoLimit}}, "0, 0", "0 burst 0"},
		{Queue{Name: "q", Concurrency: -5, Rate: Rate{PerSecond: -5}}, "4294967295, unset", "-5 burst unset"},
	} {
		if _, _, err := c.ConfigureQueue(t.Context(), change.in); err != nil {
			t.Fatal(err)
		}
		w := n.queues["q"]
		if got := given(w.Concurrency) + ", " + given(w.KeyConcurrency); got != change.concurrency {
			t.Errorf("concurrency went out as %s, want %s", got, change.concurrency)
		}
		if got := given(w.GetRate().PerSecond) + " burst " + given(w.GetRate().Burst); got != change.rate {
			t.Errorf("rate went out as %s, want %s", got, change.rate)
		}
	}
}

// given is a field that may be unset, for a message.
func given[T any](field *T) string {
	if field == nil {
		return "unset"
	}
	return fmt.Sprint(*field)
}
