package task

import (
	"time"
)

// Limits of one task, in bytes. Queue settings may tighten them, never widen.
const (
	MaxQueueName = 128
	MaxKey       = 512
	MaxType      = 256
	MaxPayload   = 1 << 20
	MaxHeaders   = 16 << 10 // all header names and values together
	MaxResult    = 256 << 10
	MaxErrorText = 4 << 10
	MaxEmits     = 1000 // follow-up tasks of one outcome
	MaxWrites    = 1000 // record writes of one outcome
)

// MaxDelay is how far ahead a task may be scheduled: a leap year.
const MaxDelay = 366 * 24 * time.Hour

// Priority orders tasks of one queue where its settings say so.
type Priority int8

// The priorities; the zero value is normal.
const (
	PriorityLow    Priority = -1
	PriorityNormal Priority = 0
	PriorityHigh   Priority = 1
)

// Header is one name and value that travels with a task.
type Header struct{ Name, Value string }

// Task is one piece of work.
type Task struct {
	ID        ID
	Queue     string
	Key       string // the entity it is about; empty: no order
	Type      string
	Payload   []byte
	Headers   []Header // sorted by name
	Priority  Priority
	RunAt     time.Time     // zero: as soon as possible
	ExpiresAt time.Time     // zero: never
	CreatedAt Timestamp     // stamped by the node that accepted it
	Timeout   time.Duration // per attempt; zero: the queue's
	Retry     *RetryPolicy  // nil: the queue's
	Placement Placement     // what it asks of workers, beyond what the queue asks
	Unique    *Unique       // of a submit: it is to be the only one of its content; not stored
}

// Size is the number of bytes that the task is counted as against limits.
func (t *Task) Size() int {
	n := 64 + len(t.Queue) + len(t.Key) + len(t.Type) + len(t.Payload)
	for _, h := range t.Headers {
		n += len(h.Name) + len(h.Value)
	}
	return n + len(t.Placement.Require) + len(t.Placement.Prefer)
}

// Validate reports the first limit that the task breaks, as an Error that
// names the field.
func (t *Task) Validate() error {
	if err := ValidateQueueName(t.Queue); err != nil {
		return err
	}
	if Reserved(t.Queue) {
		return RefuseReserved("queue", t.Queue)
	}
	if err := CheckRecordKey(t.Key); err != nil {
		return err // its worker would get the node's records
	}
	headers := 0
	for _, h := range t.Headers {
		if Reserved(h.Name) {
			return RefuseReserved("header", h.Name)
		}
		headers += len(h.Name) + len(h.Value)
	}
	for _, c := range []struct {
		field     string
		got, most int
	}{
		{"key", len(t.Key), MaxKey},
		{"type", len(t.Type), MaxType},
		{"payload", len(t.Payload), MaxPayload},
		{"headers", headers, MaxHeaders},
	} {
		if c.got > c.most {
			return Errorf(CodeTooLarge, "%s has %d bytes; at most %d are allowed", c.field, c.got, c.most).WithField(c.field)
		}
	}
	if !t.RunAt.IsZero() && !t.ExpiresAt.IsZero() && !t.ExpiresAt.After(t.RunAt) {
		return Errorf(CodeInvalidArgument, "expires_at %s is not after run_at %s: the task could never run",
			t.ExpiresAt.Format(time.RFC3339), t.RunAt.Format(time.RFC3339)).WithField("expires_at")
	}
	if t.Retry != nil {
		if err := t.Retry.Validate(); err != nil {
			return err
		}
	}
	if t.Placement != (Placement{}) {
		return t.Placement.Validate()
	}
	return nil
}

// ValidateAt is Validate at a moment: it also refuses a task that is to wait for
// longer than MaxDelay.
func (t *Task) ValidateAt(now time.Time) error {
	if t.RunAt.IsZero() || !t.RunAt.After(now.Add(MaxDelay)) {
		return t.Validate()
	}
	return Errorf(CodeInvalidArgument, "run_at %s is too far ahead: a task may wait for at most 366 days", t.RunAt.UTC().Format(time.RFC3339)).WithField("run_at")
}

// State is where a task is in its life.
type State uint8

// The states of model.md. StateUnknown is answered for an ID that is not known,
// or not retained any more.
const (
	StateUnknown State = iota
	StateQueued
	StateScheduled
	StateReady
	StateRunning
	StateDone
	StateDead
	StateCancelled
	StateExpired
)

// String returns the state in lower case, as it appears in JSON.
func (s State) String() string {
	names := [...]string{"unknown", "queued", "scheduled", "ready", "running", "done", "dead", "cancelled", "expired"}
	if int(s) < len(names) {
		return names[s]
	}
	return names[StateUnknown]
}

// Final reports whether a task in this state stays in it by itself.
func (s State) Final() bool { return s >= StateDone }

// StateSet is a set of states. The zero value is empty.
type StateSet uint16

// StatesOf returns the set of these states.
func StatesOf(states ...State) (set StateSet) {
	for _, s := range states {
		set |= 1 << s
	}
	return set
}

// Has reports whether a state is in the set.
func (set StateSet) Has(s State) bool { return set&(1<<s) != 0 }
