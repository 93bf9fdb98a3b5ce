package task_test

import (
	"math"
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

func TestALimitIsChangedKeptAndTakenAway(t *testing.T) {
	q := task.DefaultQueue("orders")
	if q.Limited() {
		t.Error("a queue has limits that nobody set")
	}
	for _, step := range []struct {
		change      task.Queue
		concurrency int
		rate        task.Rate
		limited     bool
	}{
		{task.Queue{Concurrency: 5}, 5, task.Rate{}, true},
		{task.Queue{Rate: task.Rate{PerSecond: 2, Burst: 9}}, 5, task.Rate{PerSecond: 2, Burst: 9}, true},
		{task.Queue{Rate: task.Rate{PerSecond: 3}}, 5, task.Rate{PerSecond: 3, Burst: 9}, true},
		{task.Queue{Batch: 7}, 5, task.Rate{PerSecond: 3, Burst: 9}, true},
		{task.Queue{Rate: task.Rate{Burst: task.NoLimit}}, 5, task.Rate{PerSecond: 3}, true},
		{task.Queue{Concurrency: task.NoLimit}, 0, task.Rate{PerSecond: 3}, true},
		{task.Queue{Rate: task.Rate{PerSecond: task.NoLimit, Burst: 4}}, 0, task.Rate{}, false},
	} {
		q.Merge(step.change)
		if q.Concurrency != step.concurrency || q.Rate != step.rate || q.Limited() != step.limited {
			t.Errorf("after %+v: concurrency %d, rate %+v", step.change, q.Concurrency, q.Rate)
		}
		if err := q.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestALimitOutOfRangeIsRefusedByField(t *testing.T) {
	for field, changes := range map[string][]func(*task.Queue){
		"concurrency": {
			func(q *task.Queue) { q.Concurrency = -2 },
			func(q *task.Queue) { q.Concurrency = task.MaxConcurrency + 1 },
		},
		"key_concurrency": {
			func(q *task.Queue) { q.Order, q.KeyConcurrency = task.OrderNone, -2 },
			func(q *task.Queue) { q.Order, q.KeyConcurrency = task.OrderNone, task.MaxConcurrency+1 },
			func(q *task.Queue) { q.KeyConcurrency = 1 },
		},
		"rate.per_second": {
			func(q *task.Queue) { q.Rate.PerSecond = -2 },
			func(q *task.Queue) { q.Rate.PerSecond = 1e-9 },
			func(q *task.Queue) { q.Rate.PerSecond = 1e9 },
			func(q *task.Queue) { q.Rate.PerSecond = math.NaN() },
		},
		"rate.burst": {func(q *task.Queue) { q.Rate = task.Rate{PerSecond: 1, Burst: -3} }},
	} {
		for _, change := range changes {
			q := task.DefaultQueue("orders")
			change(&q)
			refused(t, q.Validate(), task.CodeInvalidArgument, field)
		}
	}
}

func TestABurstFollowsFromTheRate(t *testing.T) {
	for rate, want := range map[task.Rate]int{
		{PerSecond: 0.1}: 1, {PerSecond: 10}: 1, {PerSecond: 25}: 3, {PerSecond: 5000}: 500, {PerSecond: 5000, Burst: 7}: 7,
	} {
		if got := rate.Most(); got != want {
			t.Errorf("up to %d tokens of %+v gather, want %d", got, rate, want)
		}
	}
}

func TestAnOrderAndALimitForEachKeyDoNotGoTogether(t *testing.T) {
	q := task.DefaultQueue("imports")
	q.Merge(task.Queue{Order: task.OrderNone, KeyConcurrency: 3})
	if err := q.Validate(); err != nil || q.KeyConcurrency != 3 {
		t.Fatalf("key_concurrency %d, %v", q.KeyConcurrency, err)
	}
	ordered := q
	ordered.Merge(task.Queue{Order: task.OrderKey})
	refused(t, ordered.Validate(), task.CodeInvalidArgument, "key_concurrency")
	ordered.Merge(task.Queue{KeyConcurrency: task.NoLimit})
	if err := ordered.Validate(); err != nil || ordered.KeyConcurrency != 0 {
		t.Errorf("key_concurrency %d, %v", ordered.KeyConcurrency, err)
	}
}
