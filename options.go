package fenfa

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// TaskOption sets something of a task in NewTask.
type TaskOption func(*Task)

// Priority says how urgent a task is, in a queue that has Priorities on.
type Priority int8

// The priorities; the zero value is normal.
const (
	PriorityLow    Priority = -1
	PriorityNormal Priority = 0
	PriorityHigh   Priority = 1
)

// Key names the entity that the task is about. Tasks of one key and queue run
// one after another, in the order in which their submits were confirmed.
func Key(key string) TaskOption { return func(t *Task) { t.wire.Key = key } }

// WithID sets the task's ID, so that a repeated submit, also by another process,
// has no effect. See DeriveID.
func WithID(id ID) TaskOption {
	return func(t *Task) {
		t.wire.Id = id.String()
		t.ownID = true
	}
}

// Type names what kind of task it is, for handlers and for people.
func Type(name string) TaskOption { return func(t *Task) { t.wire.Type = name } }

// Header adds a name and value that travel with the task.
func Header(name, value string) TaskOption {
	return func(t *Task) {
		if t.wire.Headers == nil {
			t.wire.Headers = make(map[string]string)
		}
		t.wire.Headers[name] = value
	}
}

// RunAt keeps the task from running before the given moment, which is at most 366
// days ahead: the submit of a task that is to wait for longer is refused.
func RunAt(at time.Time) TaskOption {
	return func(t *Task) { t.wire.RunAt, t.delayed = timestamppb.New(at), false }
}

// Delay is RunAt counted from now, by this machine's clock; in a test by that of the
// client, see WithClockAhead. It makes another moment each time, so together with
// WithID a repeat that builds its task anew is refused as different content: use RunAt
// there. It is at most 366 days.
func Delay(d time.Duration) TaskOption {
	return func(t *Task) { t.wire.RunAt, t.delayed = timestamppb.New(time.Now().Add(d)), true }
}

// ExpiresAt lets the task expire at the given moment if it has not started by then,
// wherever it waits. Between attempts it waits again: one whose attempt failed expires
// instead of another one.
func ExpiresAt(at time.Time) TaskOption {
	return func(t *Task) { t.wire.ExpiresAt = timestamppb.New(at) }
}

// Timeout bounds each attempt, instead of the queue's timeout.
func Timeout(d time.Duration) TaskOption {
	return func(t *Task) { t.wire.Timeout = durationpb.New(d) }
}

// Retry sets the task's own retry policy, instead of the queue's.
func Retry(p RetryPolicy) TaskOption { return func(t *Task) { t.wire.Retry = p.toWire() } }

// WithPriority sets the task's priority, which has an effect where its queue has
// Priorities on: while tasks of all three wait, of ten that start six are high, three
// normal and one low. Tasks of one key keep their order.
func WithPriority(p Priority) TaskOption {
	return func(t *Task) {
		switch {
		case p < 0:
			t.wire.Priority = fenfav1.Priority_PRIORITY_LOW
		case p > 0:
			t.wire.Priority = fenfav1.Priority_PRIORITY_HIGH
		default:
			t.wire.Priority = fenfav1.Priority_PRIORITY_UNSPECIFIED
		}
	}
}
