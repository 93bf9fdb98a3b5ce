package saga

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Names that belong to sagas.
const (
	// Queue takes the messages to sagas; the owner of a partition works on them itself.
	Queue = "fenfa.sagas"
	// Header is that of the tasks of steps: it says which saga they belong to.
	Header = "fenfa.saga"
	// keyPrefix begins the key of a saga's records.
	keyPrefix = "fenfa.saga/"
	// RecordBegun is the record of what a saga began with, RecordState the one of
	// where it is.
	RecordBegun = "begun"
	RecordState = "state"
)

// KeyOf is the key of a saga: of its records and of the messages to it.
func KeyOf(id string) string { return keyPrefix + id }

// KeyPrefix begins the keys of those sagas whose ids begin with the given text.
func KeyPrefix(ids string) string { return keyPrefix + ids }

// Types of messages to sagas.
const (
	messageEnded    = "ended"
	messageDeadline = "deadline"
	messageForget   = "forget"
)

// Result is what a step returned.
type Result struct {
	Step  string
	Value []byte
}

// Ref says which saga and step a task belongs to. It travels in the task's Header.
type Ref struct {
	ID      string
	Name    string
	Step    string
	Index   int // of the step
	Undo    bool
	Try     int
	Birth   uint64
	Results []Result // of the steps that are done, in the order of the definition
	// Null says that a compensation runs although its step did not take effect.
	Null bool
}

const refVersion = 1

func (r *Ref) encode() string {
	b := []byte{refVersion}
	b = task.AppendBytes(b, r.ID)
	b = binary.AppendUvarint(b, r.Birth)
	b = binary.AppendUvarint(b, uint64(r.Index))
	b = binary.AppendUvarint(b, uint64(r.Try))
	b = append(b, flag(r.Undo)|flag(r.Null)<<1)
	b = task.AppendBytes(b, r.Name)
	b = task.AppendBytes(b, r.Step)
	b = binary.AppendUvarint(b, uint64(len(r.Results)))
	for _, result := range r.Results {
		b = task.AppendBytes(b, result.Step)
		b = task.AppendBytes(b, result.Value)
	}
	return string(b)
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// IsStep reports whether the task is a step of a saga, or its compensation.
func IsStep(t *task.Task) bool {
	_, ok := header(t)
	return ok
}

func header(t *task.Task) (string, bool) {
	for i := range t.Headers {
		if t.Headers[i].Name == Header {
			return t.Headers[i].Value, true
		}
	}
	return "", false
}

// RefOf returns what a task's Header says; ok is false where it has none that can
// be read.
func RefOf(t *task.Task) (ref Ref, ok bool) {
	text, ok := header(t)
	if !ok {
		return Ref{}, false
	}
	p := task.NewParser([]byte(text))
	if p.Byte() != refVersion {
		return Ref{}, false
	}
	ref.ID = p.String()
	ref.Birth = p.Uvarint()
	ref.Index = int(p.Uvarint())
	ref.Try = int(p.Uvarint())
	flags := p.Byte()
	ref.Undo, ref.Null = flags&1 != 0, flags&2 != 0
	ref.Name = p.String()
	ref.Step = p.String()
	for n := p.Uvarint(); n > 0 && !p.Failed(); n-- {
		ref.Results = append(ref.Results, Result{Step: p.String(), Value: p.Bytes()})
	}
	return ref, p.End() == nil
}

// Ending is how the task of a step ended.
type Ending struct {
	State      task.State
	Attempts   int
	Deliveries int
	Worker     string
	Error      string
	Result     []byte
}

// MessageOf returns the message that tells a saga how a task of its ended; ok is
// false for tasks that belong to none. It is emitted in the commit that ends the
// task.
func MessageOf(t *task.Task, end *Ending) (message task.Task, ok bool) {
	ref, ok := RefOf(t)
	if !ok {
		return task.Task{}, false
	}
	b := binary.AppendUvarint(nil, ref.Birth)
	b = binary.AppendUvarint(b, uint64(ref.Index))
	b = binary.AppendUvarint(b, uint64(ref.Try))
	b = append(b, flag(ref.Undo), byte(end.State))
	b = binary.AppendUvarint(b, uint64(end.Attempts))
	b = binary.AppendUvarint(b, uint64(end.Deliveries))
	b = task.AppendBytes(b, end.Worker)
	b = task.AppendBytes(b, end.Error)
	b = task.AppendBytes(b, end.Result)
	return task.Task{
		ID: task.DeriveID("fenfa.saga/ended", t.ID.String()), Queue: Queue, Key: KeyOf(ref.ID), Type: messageEnded, Payload: b,
	}, true
}

// read turns a message into what happened.
func read(m *task.Task) (birth uint64, happened Happened, err error) {
	p := task.NewParser(m.Payload)
	birth = p.Uvarint()
	switch m.Type {
	case messageEnded:
		happened.kind = kindEnded
		happened.index = int(p.Uvarint())
		happened.try = int(p.Uvarint())
		happened.undo = p.Byte() != 0
		happened.end.State = task.State(p.Byte())
		happened.end.Attempts = int(p.Uvarint())
		happened.end.Deliveries = int(p.Uvarint())
		happened.end.Worker = p.String()
		happened.end.Error = p.String()
		happened.end.Result = p.Bytes()
	case messageDeadline:
		happened.kind = kindDeadline
	case messageForget:
		happened.kind = kindForget
		happened.try = int(p.Uvarint())
	default:
		return 0, Happened{}, fmt.Errorf("message %q to a saga is not known", m.Type)
	}
	if err := p.End(); err != nil {
		return 0, Happened{}, fmt.Errorf("read message %q to a saga: %w", m.Type, err)
	}
	return birth, happened, nil
}

// timer returns a message to the saga that comes at a time.
func (s *State) timer(kind string, n int, at time.Time) task.Task {
	b := binary.AppendUvarint(nil, s.Birth)
	if kind == messageForget {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return task.Task{
		ID:    task.DeriveID("fenfa.saga/"+kind, s.ID, strconv.FormatUint(s.Birth, 10), strconv.Itoa(n)),
		Queue: Queue, Key: KeyOf(s.ID), Type: kind, Payload: b, RunAt: at,
	}
}
