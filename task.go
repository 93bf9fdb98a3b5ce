package fenfa

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Task is one piece of work. NewTask makes one to submit or to emit; a handler
// gets one to work on. A Task made by NewTask does not change when it is
// submitted, so it can be submitted again, also from several goroutines: that is
// one task, because it keeps its ID. A handler's Task belongs to its handler's
// goroutine and must not be used after the handler has returned.
type Task struct {
	wire *fenfav1.Task
	// ownID says that the caller chose the ID.
	ownID bool
	// err is what NewTask could not encode; Submit and Emit report it.
	err error
	// delayed says that RunAt counts from the moment when the task was made.
	delayed bool
	// run is set while a handler works on the task.
	run *execution
}

// NewTask returns a task for the named queue, with a new ID unless an option
// sets one. A payload of type []byte, json.RawMessage or string travels as it
// is, nil as nothing, any other value as JSON; what cannot be encoded is reported
// by Submit. The payload must not be changed afterwards.
//
// Limits: payload 1 MiB, key 512 bytes, type 256 bytes, headers 16 KiB together.
func NewTask(queue string, payload any, opts ...TaskOption) *Task {
	t := &Task{wire: &fenfav1.Task{Queue: queue}}
	t.wire.Payload, t.err = encode(payload)
	for _, opt := range opts {
		opt(t)
	}
	if !t.ownID {
		t.wire.Id = NewID().String()
	}
	return t
}

// ID returns the task's ID.
func (t *Task) ID() ID {
	id, _ := parseID(t.wire.GetId())
	return id
}

// Queue returns the name of the task's queue.
func (t *Task) Queue() string { return t.wire.GetQueue() }

// Key returns the entity that the task is about; empty: none, and no order.
func (t *Task) Key() string { return t.wire.GetKey() }

// Type returns the task's type, as the submitter named it.
func (t *Task) Type() string { return t.wire.GetType() }

// Payload returns the payload. It must not be changed.
func (t *Task) Payload() []byte { return t.wire.GetPayload() }

// Header returns the value of the named header, or nothing.
func (t *Task) Header(name string) string { return t.wire.GetHeaders()[name] }

// Headers returns a copy of all headers.
func (t *Task) Headers() map[string]string { return maps.Clone(t.wire.GetHeaders()) }

// Attempt returns the number of failed attempts so far plus one; 0 for a task
// that is not a handler's.
func (t *Task) Attempt() int { return int(t.wire.GetAttempt()) }

// Delivery returns how often the task was handed to a worker, this time
// included; 0 for a task that is not a handler's.
func (t *Task) Delivery() int { return int(t.wire.GetDelivery()) }

// CreatedAt returns when a node accepted the task, to the microsecond; the zero
// time for a task that is not a handler's.
func (t *Task) CreatedAt() time.Time {
	us := t.wire.GetCreatedUnixMicros()
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Decode reads the payload into v: as it is for *[]byte, *json.RawMessage and
// *string, else as JSON.
func (t *Task) Decode(v any) error {
	if err := decode(t.wire.GetPayload(), v); err != nil {
		return fmt.Errorf("decode payload of task %s: %w", t.wire.GetId(), err)
	}
	return nil
}

// encode turns a value into bytes by the rule of NewTask.
func encode(v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []byte:
		return v, nil
	case json.RawMessage:
		return v, nil
	case string:
		return []byte(v), nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, errorf(CodeInvalidArgument, "encode %T as JSON: %w", v, err)
	}
	return b, nil
}

// decode is the reverse of encode.
func decode(b []byte, v any) error {
	switch v := v.(type) {
	case *[]byte:
		*v = b
		return nil
	case *json.RawMessage:
		*v = b
		return nil
	case *string:
		*v = string(b)
		return nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read JSON into %T: %w", v, err)
	}
	return nil
}
