package server

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

func fullTask() task.Task {
	id, _ := task.ParseID(someID)
	return task.Task{
		ID: id, Queue: "orders", Key: "sku-1", Type: "buy", Payload: []byte("{}"),
		Headers:  []task.Header{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}},
		Priority: task.PriorityHigh, RunAt: time.Unix(1_700_000_000, 5000).UTC(), ExpiresAt: time.Unix(1_800_000_000, 0).UTC(),
		Timeout: time.Minute, Retry: &task.RetryPolicy{Base: time.Second, Factor: 3, Max: time.Hour, MaxAttempts: 4},
		Placement: task.Placement{Require: "gpu,zone=eu", Prefer: "!old"},
	}
}

func TestATaskSurvivesTheWire(t *testing.T) {
	minimal := fullTask()
	minimal = task.Task{ID: minimal.ID, Queue: "orders", Priority: task.PriorityLow}
	for _, in := range []task.Task{fullTask(), minimal} {
		w := &fenfav1.Task{}
		taskToWire(&in, in.ID.String(), w)
		b, err := proto.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		w = &fenfav1.Task{}
		if err := proto.Unmarshal(b, w); err != nil {
			t.Fatal(err)
		}
		var out task.Task
		if err := taskFromWire(w, &out); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(in, out) {
			t.Errorf("got %+v\nwant %+v", out, in)
		}
	}
}

func TestWhatTheNodeStampsIsShownAndNotRead(t *testing.T) {
	in := fullTask()
	in.CreatedAt = task.TimestampAt(time.UnixMicro(1_700_000_000_123_456))
	w := &fenfav1.Task{}
	taskToWire(&in, in.ID.String(), w)
	if w.GetCreatedUnixMicros() != 1_700_000_000_123_456 {
		t.Errorf("created at %d", w.GetCreatedUnixMicros())
	}
	var out task.Task
	if err := taskFromWire(w, &out); err != nil || out.CreatedAt != 0 {
		t.Errorf("the submitter set created_at to %v: %v", out.CreatedAt, err)
	}
}

func TestBadTasksAreRefusedByField(t *testing.T) {
	for _, c := range []struct {
		field string
		task  *fenfav1.Task
	}{
		{"id", &fenfav1.Task{Id: "42"}},
		{"priority", &fenfav1.Task{Priority: 9}},
		{"run_at", &fenfav1.Task{RunAt: &timestamppb.Timestamp{Nanos: -1}}},
		{"expires_at", &fenfav1.Task{ExpiresAt: &timestamppb.Timestamp{Seconds: 1 << 60}}},
		{"timeout", &fenfav1.Task{Timeout: durationpb.New(-time.Second)}},
		{"timeout", &fenfav1.Task{Timeout: &durationpb.Duration{Seconds: 1, Nanos: -1}}},
		{"retry.base", &fenfav1.Task{Retry: &fenfav1.RetryPolicy{Base: durationpb.New(-1)}}},
		{"retry.max", &fenfav1.Task{Retry: &fenfav1.RetryPolicy{Max: &durationpb.Duration{Seconds: 1 << 50}}}},
	} {
		var out task.Task
		err := taskFromWire(c.task, &out)
		var e *task.Error
		if !errors.As(err, &e) || e.Code != task.CodeInvalidArgument || e.Field != c.field {
			t.Errorf("%s: got %v", c.field, err)
		}
	}
}

func TestAPartlySetRetryPolicyTakesTheRestFromTheDefault(t *testing.T) {
	var out task.Task
	if err := taskFromWire(&fenfav1.Task{Retry: &fenfav1.RetryPolicy{MaxAttempts: 3}}, &out); err != nil {
		t.Fatal(err)
	}
	want := task.DefaultQueue("").Retry
	want.MaxAttempts = 3
	if *out.Retry != want {
		t.Errorf("got %+v", *out.Retry)
	}
}

func TestAnOutcomeIsReadWhole(t *testing.T) {
	got := outcomesFromWire(access.Anyone(""), &fenfav1.LeaseOutcomes{Run: 2, Outcomes: []*fenfav1.Outcome{{
		Kind: fenfav1.OutcomeKind_OUTCOME_KIND_RETRY, Result: []byte("r"), Error: "e", RetryAfter: durationpb.New(time.Second),
		Writes: []*fenfav1.Write{{Key: "k", Name: "n", ExpectedVersion: 7, Value: []byte("v"), Delete: true, Chained: true}},
		Reads:  []*fenfav1.Read{{Key: "k", Name: "n", Version: 3, Chained: true}},
		Emits:  []*fenfav1.Task{{Queue: "mail", Key: "u"}},
	}, {Kind: fenfav1.OutcomeKind_OUTCOME_KIND_DEAD}, {}}})
	want := []task.Outcome{{
		Kind: task.OutcomeRetry, Result: []byte("r"), Error: "e", RetryAfter: time.Second,
		Writes: []task.Write{{Key: "k", Name: "n", Expected: 7, Value: []byte("v"), Delete: true, Chained: true}},
		Reads:  []task.Read{{Key: "k", Name: "n", Version: 3, Chained: true}},
		Emits:  []task.Task{{Queue: "mail", Key: "u"}},
		Run:    2,
	}, {Kind: task.OutcomeDead, RetryAfter: -1, Run: 2}, {Kind: task.OutcomeDone, RetryAfter: -1, Run: 2}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestAnUnreadableOutcomeIsAFailedAttempt(t *testing.T) {
	for _, w := range []*fenfav1.Outcome{
		{Kind: 99, Result: []byte("r")},
		{RetryAfter: durationpb.New(-time.Second)},
		{Writes: []*fenfav1.Write{{Name: "n"}}, Emits: []*fenfav1.Task{{Queue: "ok"}, {Id: "x"}}},
	} {
		got := outcomesFromWire(access.Anyone(""), &fenfav1.LeaseOutcomes{Outcomes: []*fenfav1.Outcome{w}})[0]
		if got.Kind != task.OutcomeRetry || got.RetryAfter >= 0 || !strings.Contains(got.Error, "invalid") || got.Writes != nil || got.Result != nil {
			t.Errorf("%v became %+v", w, got)
		}
	}
}

func TestALeaseIsShownWhole(t *testing.T) {
	first, second := fullTask(), fullTask()
	second.ID[0]++
	l := &task.Lease{
		LeaseRef: task.LeaseRef{Partition: 3, Epoch: 4, Token: 5}, Queue: "orders", Timeout: time.Second, Ordered: true, Complete: true,
		Tasks:   []task.Leased{{Task: first, Attempt: 1, Delivery: 2}, {Task: second, Attempt: 3, Delivery: 4}},
		Records: []task.Record{{Key: "sku-1", Name: "stock", Version: 9, Value: []byte("v"), UpdatedAt: task.TimestampAt(time.Unix(5, 0)), TaskID: first.ID}},
	}
	w := leaseToWire(l)
	if r := w.GetRef(); r.GetPartition() != 3 || r.GetEpoch() != 4 || r.GetToken() != 5 {
		t.Errorf("ref %v", r)
	}
	if !w.GetOrdered() || !w.GetRecordsComplete() || w.GetTimeout().AsDuration() != time.Second || w.GetQueue() != "orders" {
		t.Errorf("got %v", w)
	}
	if ts := w.GetTasks(); len(ts) != 2 || ts[0].GetId() != first.ID.String() || ts[1].GetId() != second.ID.String() || ts[1].GetAttempt() != 3 || ts[1].GetDelivery() != 4 {
		t.Errorf("tasks %v", ts)
	}
	if rs := w.GetRecords(); len(rs) != 1 || rs[0].GetVersion() != 9 || rs[0].GetTaskId() != first.ID.String() || rs[0].GetUpdatedAt().GetSeconds() != 5 {
		t.Errorf("records %v", rs)
	}
}

func TestAVerdictIsShownWhole(t *testing.T) {
	for kind, want := range map[task.VerdictKind]fenfav1.VerdictKind{
		task.VerdictCommitted: fenfav1.VerdictKind_VERDICT_KIND_COMMITTED,
		task.VerdictStale:     fenfav1.VerdictKind_VERDICT_KIND_STALE,
		task.VerdictConflict:  fenfav1.VerdictKind_VERDICT_KIND_CONFLICT,
		task.VerdictRefused:   fenfav1.VerdictKind_VERDICT_KIND_REFUSED,
	} {
		w := verdictToWire(&task.Verdict{Kind: kind, First: 1, Count: 2, Error: "bad \xff", Records: make([]task.Record, 1), Complete: true})
		if w.GetKind() != want || w.GetFirst() != 1 || w.GetCount() != 2 || w.GetError() != "bad \uFFFD" || len(w.GetRecords()) != 1 || !w.GetRecordsComplete() {
			t.Errorf("%v became %v", kind, w)
		}
	}
}

func TestEveryStateHasItsName(t *testing.T) {
	for s := task.StateUnknown; s <= task.StateExpired; s++ {
		want := "TASK_STATE_" + strings.ToUpper(s.String())
		if s == task.StateUnknown {
			want = "TASK_STATE_UNSPECIFIED"
		}
		if got := stateToWire(s).String(); got != want {
			t.Errorf("%v became %s", s, got)
		}
	}
}

func TestAStatusIsShownWhole(t *testing.T) {
	in := fullTask()
	w := statusToWire(&partition.TaskStatus{
		ID: in.ID, State: task.StateReady, Queue: "orders", CreatedAt: time.Unix(1, 0), Attempts: 2, Deliveries: 3,
		Error: "e", History: []partition.Try{{At: time.Unix(2, 0), Worker: "w", Error: "x"}}, Task: &in,
	})
	if w.GetId() != someID || w.GetTask().GetId() != someID || w.GetTask().GetAttempt() != 3 || w.GetTask().GetDelivery() != 3 ||
		len(w.GetHistory()) != 1 || w.GetFinishedAt() != nil || w.GetCreatedAt().GetSeconds() != 1 {
		t.Errorf("got %v", w)
	}
}

func TestQueueSettingsSurviveTheWire(t *testing.T) {
	in := task.DefaultQueue("orders")
	in.Balance = task.Balance{Policy: task.BalanceConsistentHash, LoadBound: 1.5, Overflow: "wait"}
	in.Share, in.Placement = 2.5, task.Placement{Require: "gpu,zone=eu", Prefer: "version!=1"}
	in.Concurrency, in.KeyConcurrency, in.Rate = 5, 3, task.Rate{PerSecond: 2.5, Burst: 7}
	in.DeadTTL = 720 * time.Hour
	in.Priorities = task.SwitchOn
	out, err := queueFromWire(queueToWire(&in))
	if err != nil || out != in {
		t.Errorf("got %+v, %v", out, err)
	}
	if out, err := queueFromWire(&fenfav1.Queue{Name: "q", DeadTtl: &durationpb.Duration{}}); err != nil || out.DeadTTL != task.NoLimit {
		t.Errorf("a dead_ttl of 0 became %v, %v", out.DeadTTL, err)
	}
	if out, err := queueFromWire(&fenfav1.Queue{Name: "q"}); err != nil || out != (task.Queue{Name: "q"}) {
		t.Errorf("what was not given became %+v, %v", out, err)
	}
	none := task.Queue{Name: "q", Concurrency: task.NoLimit, KeyConcurrency: task.NoLimit, Rate: task.Rate{PerSecond: task.NoLimit, Burst: task.NoLimit}}
	if out, err := queueFromWire(queueToWire(&task.Queue{Name: "q"})); err != nil || out.Concurrency != none.Concurrency || out.KeyConcurrency != none.KeyConcurrency || out.Rate != none.Rate {
		t.Errorf("limits that were taken away became %+v, %v", out, err)
	}
	for field, w := range map[string]*fenfav1.Queue{
		"timeout":       {Timeout: durationpb.New(-1)},
		"dedupe_window": {DedupeWindow: durationpb.New(-1)},
		"result_ttl":    {ResultTtl: durationpb.New(-1)},
		"retry.base":    {Retry: &fenfav1.RetryPolicy{Base: durationpb.New(-1)}},

		"placement.require": {Placement: &fenfav1.Placement{Require: []string{"a=="}}},
		"placement.prefer":  {Placement: &fenfav1.Placement{Prefer: []string{"="}}},
	} {
		if _, err := queueFromWire(w); errorOf(err).Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestStartLatencyIsShownWhereThereWasOne(t *testing.T) {
	w := statsToWire(&partition.QueueStats{StartP50: time.Millisecond, StartP99: time.Second}, 1)
	if w.GetStartP50().AsDuration() != time.Millisecond || w.GetStartP99().AsDuration() != time.Second {
		t.Errorf("p50 is %v, p99 %v", w.GetStartP50(), w.GetStartP99())
	}
	if w = statsToWire(&partition.QueueStats{}, 1); w.StartP50 != nil || w.StartP99 != nil {
		t.Errorf("nothing was handed out, but p50 is %v and p99 %v", w.GetStartP50(), w.GetStartP99())
	}
}

func TestSizesForMessagesAreNearTheWire(t *testing.T) {
	in := fullTask()
	in.Payload = make([]byte, 5000)
	l := &task.Lease{Queue: "orders", Tasks: []task.Leased{{Task: in}, {Task: in}}}
	if got, want := dispatch.LeaseSize(l), proto.Size(leaseToWire(l)); got < want*9/10 || got > want*12/10 {
		t.Errorf("estimated %d, on the wire %d", got, want)
	}
}

func BenchmarkTaskFromWire(b *testing.B) {
	in := task.Task{ID: fullTask().ID, Queue: "orders", Key: "sku-000123", Type: "buy", Payload: make([]byte, 256)}
	w := &fenfav1.Task{}
	taskToWire(&in, in.ID.String(), w)
	req := &fenfav1.SubmitStreamRequest{}
	for range 256 {
		req.Tasks = append(req.Tasks, w)
	}
	wire, err := proto.Marshal(req)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("convert", func(b *testing.B) {
		b.ReportAllocs()
		var out task.Task
		for b.Loop() {
			if err := taskFromWire(w, &out); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unmarshal and gather 256", func(b *testing.B) {
		b.ReportAllocs()
		var g gathering
		for b.Loop() {
			req := &fenfav1.SubmitStreamRequest{}
			if err := proto.Unmarshal(wire, req); err != nil {
				b.Fatal(err)
			}
			g.reset()
			g.add(access.Anyone(""), 1, req.GetTasks(), true)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/task")
	})
}

func BenchmarkLeaseToWire(b *testing.B) {
	l := &task.Lease{Queue: "orders", Timeout: time.Minute, Ordered: true}
	for range 64 {
		l.Tasks = append(l.Tasks, task.Leased{Task: task.Task{ID: fullTask().ID, Queue: "orders", Key: "sku-000123", Payload: make([]byte, 256), CreatedAt: 1 << 60}})
	}
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		var err error
		if buf, err = (proto.MarshalOptions{}).MarshalAppend(buf[:0], &fenfav1.WorkResponse{Leases: []*fenfav1.Lease{leaseToWire(l)}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/task")
}
