package task_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// refused fails the test unless err is a refusal with the code and field.
func refused(t *testing.T, err error, code task.Code, field string) {
	t.Helper()
	refusal, ok := errors.AsType[*task.Error](err)
	if !ok || refusal.Code != code || refusal.Field != field {
		t.Errorf("got %v, want %s about %s", err, code, field)
	}
}

func TestATaskWaitsForAtMostAYear(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	good := task.Task{Queue: "q", RunAt: now.Add(task.MaxDelay)}
	if err := good.ValidateAt(now); err != nil {
		t.Error(err)
	}
	good.RunAt = good.RunAt.Add(1)
	refused(t, good.ValidateAt(now), task.CodeInvalidArgument, "run_at")
	past, bad := task.Task{Queue: "q", RunAt: now.Add(-time.Hour)}, task.Task{RunAt: now}
	if err := past.ValidateAt(now); err != nil {
		t.Error(err)
	}
	refused(t, bad.ValidateAt(now), task.CodeInvalidArgument, "queue")
}

func TestATaskBeyondALimitIsRefusedByField(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	for name, tc := range map[string]struct {
		change func(*task.Task)
		code   task.Code
		field  string
	}{
		"no queue":           {func(t *task.Task) { t.Queue = "" }, task.CodeInvalidArgument, "queue"},
		"key":                {func(t *task.Task) { t.Key = strings.Repeat("k", task.MaxKey+1) }, task.CodeTooLarge, "key"},
		"type":               {func(t *task.Task) { t.Type = strings.Repeat("t", task.MaxType+1) }, task.CodeTooLarge, "type"},
		"payload":            {func(t *task.Task) { t.Payload = make([]byte, task.MaxPayload+1) }, task.CodeTooLarge, "payload"},
		"headers":            {func(t *task.Task) { t.Headers = []task.Header{{"n", strings.Repeat("v", task.MaxHeaders)}} }, task.CodeTooLarge, "headers"},
		"expires before run": {func(t *task.Task) { t.RunAt, t.ExpiresAt = now, now }, task.CodeInvalidArgument, "expires_at"},
		"retry":              {func(t *task.Task) { t.Retry = &task.RetryPolicy{} }, task.CodeInvalidArgument, "retry.factor"},
	} {
		t.Run(name, func(t *testing.T) {
			good := task.Task{Queue: "q"}
			tc.change(&good)
			refused(t, good.Validate(), tc.code, tc.field)
		})
	}
}

func TestATaskAtEveryLimitIsAccepted(t *testing.T) {
	largest := task.Task{
		Queue: strings.Repeat("q", task.MaxQueueName), Key: strings.Repeat("k", task.MaxKey), Type: strings.Repeat("t", task.MaxType),
		Payload: make([]byte, task.MaxPayload), Headers: []task.Header{{"n", strings.Repeat("v", task.MaxHeaders-1)}},
	}
	if err := largest.Validate(); err != nil {
		t.Error(err)
	}
	if got, stored := largest.Size(), len(largest.Append(nil)); got < stored {
		t.Errorf("the task counts as %d bytes and is stored in %d", got, stored)
	}
}

func TestQueueNames(t *testing.T) {
	for _, name := range []string{"q", "orders", "Orders.v2", "a-b_c", "_internal", "9", strings.Repeat("x", task.MaxQueueName)} {
		if err := task.ValidateQueueName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".a", "-a", "a b", "a/b", "ü", "a\x00", "分发", strings.Repeat("x", task.MaxQueueName+1)} {
		refused(t, task.ValidateQueueName(name), task.CodeInvalidArgument, "queue")
	}
}

func TestTheDefaultQueueIsValid(t *testing.T) {
	q := task.DefaultQueue("orders")
	if err := q.Validate(); err != nil {
		t.Error(err)
	}
}

func TestASettingOutOfRangeIsRefusedByField(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*task.Queue)
		field  string
	}{
		"name":            {func(q *task.Queue) { q.Name = "a b" }, "queue"},
		"order":           {func(q *task.Queue) { q.Order = "fifo" }, "order"},
		"on dead":         {func(q *task.Queue) { q.OnDead = "" }, "on_dead"},
		"policy":          {func(q *task.Queue) { q.Balance.Policy = "best" }, "balance.policy"},
		"load bound":      {func(q *task.Queue) { q.Balance.LoadBound = 1 }, "balance.load_bound"},
		"overflow":        {func(q *task.Queue) { q.Balance.Overflow = "drop" }, "balance.overflow"},
		"retry base":      {func(q *task.Queue) { q.Retry.Base = -1 }, "retry.base"},
		"retry factor":    {func(q *task.Queue) { q.Retry.Factor = math.NaN() }, "retry.factor"},
		"retry max":       {func(q *task.Queue) { q.Retry.Max = 0 }, "retry.max"},
		"retry attempts":  {func(q *task.Queue) { q.Retry.MaxAttempts = 0 }, "retry.max_attempts"},
		"timeout":         {func(q *task.Queue) { q.Timeout = 0 }, "timeout (ms)"},
		"batch":           {func(q *task.Queue) { q.Batch = 10_001 }, "batch"},
		"max deliveries":  {func(q *task.Queue) { q.MaxDeliveries = 0 }, "max_deliveries"},
		"dedupe window":   {func(q *task.Queue) { q.DedupeWindow = time.Second }, "dedupe_window (s)"},
		"result ttl":      {func(q *task.Queue) { q.ResultTTL = 0 }, "result_ttl (s)"},
		"backlog, tasks":  {func(q *task.Queue) { q.MaxBacklogTasks = -1 }, "max_backlog_tasks"},
		"backlog, bytes":  {func(q *task.Queue) { q.MaxBacklogBytes = 0 }, "max_backlog_bytes"},
		"timeout, beyond": {func(q *task.Queue) { q.Timeout = 25 * time.Hour }, "timeout (ms)"},
	} {
		t.Run(name, func(t *testing.T) {
			q := task.DefaultQueue("orders")
			tc.change(&q)
			refused(t, q.Validate(), task.CodeInvalidArgument, tc.field)
		})
	}
}

func TestRetryDelaysGrowToTheMaximum(t *testing.T) {
	p := task.DefaultQueue("orders").Retry
	for n, want := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 10: 512 * time.Second, 11: 10 * time.Minute, 10_000: 10 * time.Minute,
	} {
		if got := p.Ceiling(n); got != want {
			t.Errorf("the ceiling after failure %d is %v, want %v", n, got, want)
		}
		if got := p.Delay(n, 0.5); got != want/2 {
			t.Errorf("the delay after failure %d for one half is %v, want %v", n, got, want/2)
		}
	}
	if got := p.Delay(3, 0); got != 0 {
		t.Errorf("the least delay is %v, want 0: jitter is full", got)
	}
}

func TestRecordLimits(t *testing.T) {
	if err := task.ValidateRecord(strings.Repeat("k", task.MaxKey), strings.Repeat("n", task.MaxRecordName), task.MaxRecordValue); err != nil {
		t.Error(err)
	}
	refused(t, task.ValidateRecord("", "n", 0), task.CodeInvalidArgument, "key")
	refused(t, task.ValidateRecord(strings.Repeat("k", task.MaxKey+1), "n", 0), task.CodeInvalidArgument, "key")
	refused(t, task.ValidateRecord("k", "", 0), task.CodeInvalidArgument, "name")
	refused(t, task.ValidateRecord("k", strings.Repeat("n", task.MaxRecordName+1), 0), task.CodeInvalidArgument, "name")
	refused(t, task.ValidateRecord("k", "n", task.MaxRecordValue+1), task.CodeTooLarge, "value")
}

func TestALeaseTakesASlotForEachHandlerThatRunsAtOnce(t *testing.T) {
	tasks := make([]task.Leased, 5)
	if got := (&task.Lease{Ordered: true, Tasks: tasks}).Slots(); got != 1 {
		t.Errorf("an ordered lease takes %d slots, want 1", got)
	}
	if got := (&task.Lease{Tasks: tasks}).Slots(); got != 5 {
		t.Errorf("a lease without order takes %d slots, want 5", got)
	}
}
