package server

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/task"
)

// taskFromWire reads a task. Strings and bytes are shared. What the node stamps
// itself is not read; limits are the engine's matter.
func taskFromWire(w *fenfav1.Task, t *task.Task) error {
	*t = task.Task{Queue: w.GetQueue(), Key: w.GetKey(), Type: w.GetType(), Payload: w.GetPayload()}
	var err error
	if w.GetId() != "" {
		if t.ID, err = idFromWire(w.GetId()); err != nil {
			return err
		}
	}
	if headers := w.GetHeaders(); len(headers) > 0 {
		t.Headers = make([]task.Header, 0, len(headers))
		for name, value := range headers {
			t.Headers = append(t.Headers, task.Header{Name: name, Value: value})
		}
		slices.SortFunc(t.Headers, func(a, b task.Header) int { return strings.Compare(a.Name, b.Name) })
	}
	if w.GetPriority() != 0 {
		if t.Priority, err = priorityFromWire(w.GetPriority()); err != nil {
			return err
		}
	}
	if w.GetRunAt() != nil {
		if t.RunAt, err = timeFromWire(w.GetRunAt(), "run_at"); err != nil {
			return err
		}
	}
	if w.GetExpiresAt() != nil {
		if t.ExpiresAt, err = timeFromWire(w.GetExpiresAt(), "expires_at"); err != nil {
			return err
		}
	}
	if w.GetTimeout() != nil {
		if t.Timeout, err = durationFromWire(w.GetTimeout(), "timeout"); err != nil {
			return err
		}
	}
	if w.GetRetry() != nil {
		if t.Retry, err = retryFromWire(w.GetRetry(), task.DefaultQueue("").Retry); err != nil {
			return err
		}
	}
	if w.GetUnique() != nil {
		if t.Unique, err = uniqueFromWire(w.GetUnique()); err != nil {
			return err
		}
	}
	if w.GetPlacement() != nil {
		t.Placement, err = placementFromWire(w.GetPlacement())
	}
	return err
}

func uniqueFromWire(w *fenfav1.Unique) (*task.Unique, error) {
	u := &task.Unique{Args: w.GetArgs(), By: w.GetBy()}
	for _, s := range w.GetStates() {
		state, err := stateFromWire(s)
		switch {
		case err != nil || state == task.StateUnknown:
			return nil, task.Errorf(task.CodeInvalidArgument, "unique.states has %s: want queued, scheduled, running, done, dead, cancelled or expired", s).WithField("unique.states")
		case state == task.StateReady:
			state = task.StateQueued
		}
		u.States |= task.StatesOf(state)
	}
	var err error
	u.Period, err = durationFromWire(orZero(w.GetPeriod()), "unique.period")
	return u, err
}

func priorityFromWire(w fenfav1.Priority) (task.Priority, error) {
	switch w {
	case fenfav1.Priority_PRIORITY_UNSPECIFIED, fenfav1.Priority_PRIORITY_NORMAL:
		return task.PriorityNormal, nil
	case fenfav1.Priority_PRIORITY_LOW:
		return task.PriorityLow, nil
	case fenfav1.Priority_PRIORITY_HIGH:
		return task.PriorityHigh, nil
	}
	return 0, task.Errorf(task.CodeInvalidArgument, "priority %d is not known: want PRIORITY_LOW, PRIORITY_NORMAL or PRIORITY_HIGH", w).WithField("priority")
}

func priorityToWire(p task.Priority) fenfav1.Priority {
	switch {
	case p < 0:
		return fenfav1.Priority_PRIORITY_LOW
	case p > 0:
		return fenfav1.Priority_PRIORITY_HIGH
	default:
		return fenfav1.Priority_PRIORITY_UNSPECIFIED
	}
}

func timeFromWire(w *timestamppb.Timestamp, field string) (time.Time, error) {
	if err := w.CheckValid(); err != nil {
		return time.Time{}, task.Errorf(task.CodeInvalidArgument, "%s is not a moment: %s", field, plainMessage(err.Error())).WithField(field)
	}
	return w.AsTime(), nil
}

func timeToWire(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func durationFromWire(w *durationpb.Duration, field string) (time.Duration, error) {
	if err := w.CheckValid(); err != nil {
		return 0, task.Errorf(task.CodeInvalidArgument, "%s is not a duration: %s", field, plainMessage(err.Error())).WithField(field)
	}
	d := w.AsDuration()
	if d < 0 {
		return 0, task.Errorf(task.CodeInvalidArgument, "%s is %v: want 0 or more", field, d).WithField(field)
	}
	return d, nil
}

// retryFromWire reads a policy; what is unset is taken from rest.
func retryFromWire(w *fenfav1.RetryPolicy, rest task.RetryPolicy) (*task.RetryPolicy, error) {
	p := rest
	var err error
	if w.GetBase() != nil {
		if p.Base, err = durationFromWire(w.GetBase(), "retry.base"); err != nil {
			return nil, err
		}
	}
	if w.GetMax() != nil {
		if p.Max, err = durationFromWire(w.GetMax(), "retry.max"); err != nil {
			return nil, err
		}
	}
	if w.GetFactor() != 0 {
		p.Factor = w.GetFactor()
	}
	if w.GetMaxAttempts() != 0 {
		p.MaxAttempts = int(w.GetMaxAttempts())
	}
	return &p, nil
}

func retryToWire(p task.RetryPolicy) *fenfav1.RetryPolicy {
	return &fenfav1.RetryPolicy{
		Base: durationpb.New(p.Base), Factor: p.Factor, Max: durationpb.New(p.Max), MaxAttempts: uint32(p.MaxAttempts),
	}
}

// taskToWire fills w, which is new. id is the text form of the task's ID.
func taskToWire(t *task.Task, id string, w *fenfav1.Task) {
	w.Id = id
	w.Queue = t.Queue
	w.Key = t.Key
	w.Type = t.Type
	w.Payload = t.Payload
	w.Priority = priorityToWire(t.Priority)
	if t.CreatedAt != 0 {
		w.CreatedUnixMicros = t.CreatedAt.Time().UnixMicro()
	}
	if len(t.Headers) > 0 {
		w.Headers = make(map[string]string, len(t.Headers))
		for _, h := range t.Headers {
			if h.Name != task.HeadUnique {
				w.Headers[h.Name] = h.Value
			}
		}
		if w.Saga = taskSagaToWire(t); w.Saga != nil {
			delete(w.Headers, saga.Header)
		}
	}
	if !t.RunAt.IsZero() {
		w.RunAt = timestamppb.New(t.RunAt)
	}
	if !t.ExpiresAt.IsZero() {
		w.ExpiresAt = timestamppb.New(t.ExpiresAt)
	}
	if t.Timeout != 0 {
		w.Timeout = durationpb.New(t.Timeout)
	}
	if t.Retry != nil {
		w.Retry = retryToWire(*t.Retry)
	}
	w.Placement = placementToWire(t.Placement)
}

// idText is the length of the text form of an ID.
const idText = 36

// appendID appends the text form of the ID.
func appendID(b []byte, id task.ID) []byte {
	b = hex.AppendEncode(b, id[0:4])
	b = hex.AppendEncode(append(b, '-'), id[4:6])
	b = hex.AppendEncode(append(b, '-'), id[6:8])
	b = hex.AppendEncode(append(b, '-'), id[8:10])
	return hex.AppendEncode(append(b, '-'), id[10:16])
}

// idFromWire reads the ID that a request asks for.
func idFromWire(s string) (task.ID, error) {
	id, err := task.ParseID(s)
	if err != nil {
		return task.ID{}, errorOf(err).WithField("id")
	}
	return id, nil
}

// idOrEmpty is the text form of the ID, and empty for none.
func idOrEmpty(id task.ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// resultToWire says what became of a submitted task.
func resultToWire(r *partition.SubmitResult) *fenfav1.SubmitResult {
	w := &fenfav1.SubmitResult{Id: idOrEmpty(r.ID), Duplicate: r.Duplicate}
	if r.Err == nil {
		w.State = stateToWire(r.State)
	}
	if r.Err != nil {
		w.Error = errorToWire(errorOf(r.Err))
	}
	return w
}

func stateToWire(s task.State) fenfav1.TaskState {
	switch s {
	case task.StateQueued:
		return fenfav1.TaskState_TASK_STATE_QUEUED
	case task.StateScheduled:
		return fenfav1.TaskState_TASK_STATE_SCHEDULED
	case task.StateReady:
		return fenfav1.TaskState_TASK_STATE_READY
	case task.StateRunning:
		return fenfav1.TaskState_TASK_STATE_RUNNING
	case task.StateDone:
		return fenfav1.TaskState_TASK_STATE_DONE
	case task.StateDead:
		return fenfav1.TaskState_TASK_STATE_DEAD
	case task.StateCancelled:
		return fenfav1.TaskState_TASK_STATE_CANCELLED
	case task.StateExpired:
		return fenfav1.TaskState_TASK_STATE_EXPIRED
	case task.StateUnknown:
	}
	return fenfav1.TaskState_TASK_STATE_UNSPECIFIED
}

func statusToWire(st *partition.TaskStatus) *fenfav1.TaskStatus {
	w := &fenfav1.TaskStatus{
		Id: st.ID.String(), State: stateToWire(st.State), Queue: st.Queue, Key: st.Key,
		CreatedAt: timeToWire(st.CreatedAt), StartedAt: timeToWire(st.StartedAt), FinishedAt: timeToWire(st.FinishedAt), NextAt: timeToWire(st.NextAt),
		Attempts: uint32(st.Attempts), Deliveries: uint32(st.Deliveries), Worker: text(st.Worker),
		Result: st.Result, Error: text(st.Error), History: triesToWire(st.History),
	}
	if st.Task != nil {
		w.Task = &fenfav1.Task{}
		taskToWire(st.Task, w.GetId(), w.GetTask())
		w.Task.Attempt, w.Task.Delivery = uint32(st.Attempts+1), uint32(st.Deliveries)
	}
	return w
}

func triesToWire(tries []partition.Try) []*fenfav1.Attempt {
	out := make([]*fenfav1.Attempt, 0, len(tries))
	for _, t := range tries {
		w := &fenfav1.Attempt{At: timeToWire(t.At), Worker: text(t.Worker), Error: text(t.Error)}
		if t.Took > 0 {
			w.StartedAt = timeToWire(t.At.Add(-t.Took))
		}
		out = append(out, w)
	}
	return out
}

// inField puts the place of the error in front of the field that it names.
func inField(err error, place string, index int) error {
	e := *errorOf(err)
	e.Field = strings.TrimSuffix(fmt.Sprintf("%s[%d].%s", place, index, e.Field), ".")
	return &e
}
