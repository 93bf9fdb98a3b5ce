package cron

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Names that belong to schedules.
const (
	// Queue takes the messages to schedules; the owner of a partition works on them itself.
	Queue = "fenfa.cron"
	// Header is that of the tasks of schedules: it says which one and which tick.
	Header = "fenfa.cron"
	// KeyPrefix begins the key of a schedule's records.
	KeyPrefix = "fenfa.cron/"
	// RecordDefinition is the record of what a schedule was told, RecordState the one of
	// where it is.
	RecordDefinition = "definition"
	RecordState      = "state"
)

// KeyOf is the key of a schedule: of its records and of the messages to it.
func KeyOf(name string) string { return KeyPrefix + name }

// NameOf returns the name of the schedule that has a key.
func NameOf(key string) string { return key[min(len(KeyPrefix), len(key)):] }

// messageEnded is the type of the only message to a schedule.
const messageEnded = "ended"

// Ref says which schedule and tick a task belongs to. It travels in the task's Header.
type Ref struct {
	Name  string
	Birth uint64
	Tick  time.Time
}

// encode writes text, because handlers see headers.
func (r *Ref) encode() string {
	return strings.Join([]string{r.Tick.UTC().Format(time.RFC3339Nano), strconv.FormatUint(r.Birth, 36), r.Name}, " ")
}

// RefOf returns what a task's Header says; ok is false where it has none that can be
// read.
func RefOf(t *task.Task) (ref Ref, ok bool) {
	for i := range t.Headers {
		if t.Headers[i].Name != Header {
			continue
		}
		parts := strings.Split(t.Headers[i].Value, " ")
		if len(parts) != 3 {
			return Ref{}, false
		}
		tick, err := time.Parse(time.RFC3339Nano, parts[0])
		birth, wrong := strconv.ParseUint(parts[1], 36, 64)
		return Ref{Name: parts[2], Birth: birth, Tick: tick}, err == nil && wrong == nil
	}
	return Ref{}, false
}

// Ending is how a task of a schedule ended.
type Ending struct {
	Birth  uint64
	TaskID task.ID
	State  task.State
	Error  string
}

// MessageOf returns the message that tells a schedule how a task of its ended; ok is
// false for tasks that belong to none. It is emitted in the commit that ends the
// task.
func MessageOf(t *task.Task, state task.State, reason string) (message task.Task, ok bool) {
	ref, ok := RefOf(t)
	if !ok {
		return task.Task{}, false
	}
	b := binary.AppendUvarint(nil, ref.Birth)
	b = task.AppendBytes(b, string(t.ID[:]))
	b = append(b, byte(state))
	b = task.AppendBytes(b, clip(reason))
	return task.Task{
		ID: task.DeriveID("fenfa.cron/ended", t.ID.String()), Queue: Queue, Key: KeyOf(ref.Name), Type: messageEnded, Payload: b,
	}, true
}

// Read turns a message into what happened.
func Read(m *task.Task) (Ending, error) {
	if m.Type != messageEnded {
		return Ending{}, fmt.Errorf("message %q to a schedule is not known", m.Type)
	}
	p := task.NewParser(m.Payload)
	end := Ending{Birth: p.Uvarint()}
	copy(end.TaskID[:], p.String())
	end.State, end.Error = task.State(p.Byte()), p.String()
	if err := p.End(); err != nil {
		return Ending{}, fmt.Errorf("read message %q to a schedule: %w", m.Type, err)
	}
	return end, nil
}
