package server

import (
	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// queueFromWire reads a change of settings: zero fields mean "as it is".
func queueFromWire(w *fenfav1.Queue) (task.Queue, error) {
	q := task.Queue{
		Name: w.GetName(), Order: task.Order(w.GetOrder()), OnDead: task.OnDead(w.GetOnDead()),
		Balance: task.Balance{
			Policy: w.GetBalance().GetPolicy(), LoadBound: w.GetBalance().GetLoadBound(), Overflow: w.GetBalance().GetOverflow(),
		},
		Batch: int(w.GetBatch()), MaxDeliveries: int(w.GetMaxDeliveries()),
		MaxBacklogTasks: w.GetMaxBacklogTasks(), MaxBacklogBytes: w.GetMaxBacklogBytes(), Share: w.GetShare(),
	}
	limitsFromWire(w, &q)
	q.Priorities = switchFromWire(w.Priorities)
	q.Webhook = webhookFromWire(w.GetWebhook())
	var err error
	if q.Placement, err = placementFromWire(w.GetPlacement()); err != nil {
		return task.Queue{}, err
	}
	if w.GetRetry() != nil {
		retry, err := retryFromWire(w.GetRetry(), task.RetryPolicy{})
		if err != nil {
			return task.Queue{}, err
		}
		q.Retry = *retry
	}
	if q.Timeout, err = durationFromWire(orZero(w.GetTimeout()), "timeout"); err != nil {
		return task.Queue{}, err
	}
	if q.DedupeWindow, err = durationFromWire(orZero(w.GetDedupeWindow()), "dedupe_window"); err != nil {
		return task.Queue{}, err
	}
	if q.ResultTTL, err = durationFromWire(orZero(w.GetResultTtl()), "result_ttl"); err != nil {
		return task.Queue{}, err
	}
	if w.GetDeadTtl() == nil {
		return q, nil
	}
	if q.DeadTTL, err = durationFromWire(w.GetDeadTtl(), "dead_ttl"); q.DeadTTL == 0 {
		q.DeadTTL = task.NoLimit
	}
	return q, err
}

// switchFromWire leaves a switch as it is that is not given.
func switchFromWire(on *bool) task.Switch {
	switch {
	case on == nil:
		return ""
	case *on:
		return task.SwitchOn
	}
	return task.SwitchOff
}

func orZero(d *durationpb.Duration) *durationpb.Duration {
	if d == nil {
		return &durationpb.Duration{}
	}
	return d
}

func queueToWire(q *task.Queue) *fenfav1.Queue {
	w := &fenfav1.Queue{
		Name: q.Name, Order: string(q.Order), OnDead: string(q.OnDead),
		Balance: &fenfav1.Balance{Policy: q.Balance.Policy, LoadBound: q.Balance.LoadBound, Overflow: q.Balance.Overflow},
		Retry:   retryToWire(q.Retry), Timeout: durationpb.New(q.Timeout), Batch: uint32(q.Batch), MaxDeliveries: uint32(q.MaxDeliveries),
		DedupeWindow: durationpb.New(q.DedupeWindow), ResultTtl: durationpb.New(q.ResultTTL),
		MaxBacklogTasks: q.MaxBacklogTasks, MaxBacklogBytes: q.MaxBacklogBytes, Share: q.Share, Placement: placementToWire(q.Placement),
	}
	w.Paused = q.Paused
	w.Webhook = webhookToWire(q.Webhook)
	limitsToWire(q, w)
	w.Priorities = new(q.Priorities.On())
	w.DeadTtl = durationpb.New(q.DeadTTL)
	return w
}

func statsToWire(s *partition.QueueStats, workers int) *fenfav1.QueueStats {
	w := &fenfav1.QueueStats{
		BacklogTasks: s.BacklogTasks, BacklogBytes: s.BacklogBytes, Oldest: timeToWire(s.Oldest),
		Scheduled: s.Scheduled, Parked: s.Parked, Ready: s.Ready, Running: s.Running,
		BlockedLanes: s.BlockedLanes, HaltedLanes: s.HaltedLanes, Dead: s.Dead,
		DoneTotal: s.DoneTotal, FailedTotal: s.FailedTotal, DeadTotal: s.DeadTotal, CancelledTotal: s.CancelledTotal, Workers: int64(workers), LimitedBy: s.LimitedBy,
	}
	if s.StartP50 > 0 {
		w.StartP50, w.StartP99 = durationpb.New(s.StartP50), durationpb.New(s.StartP99)
	}
	return w
}
