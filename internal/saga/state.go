package saga

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fenfa/fenfa/internal/task"
)

// Status is where a saga is in its life.
type Status string

// The statuses. A halted saga waits for a person; the last two are final, but for
// a person who has a saga that is done compensated.
const (
	StatusRunning      Status = "running"
	StatusCompensating Status = "compensating"
	StatusHalted       Status = "halted"
	StatusDone         Status = "done"
	StatusCompensated  Status = "compensated"
)

// Statuses are all of them, in the order in which help and errors list them.
func Statuses() []Status {
	return []Status{StatusRunning, StatusCompensating, StatusHalted, StatusDone, StatusCompensated}
}

// Final reports whether a saga in this status stays in it by itself, having ended.
func (s Status) Final() bool { return s == StatusDone || s == StatusCompensated }

// Phase is where a step, or its compensation, is.
type Phase string

// The phases. What is empty was not begun.
const (
	PhaseNone    Phase = ""
	PhaseRunning Phase = "running" // its task was emitted and has not ended
	PhaseDone    Phase = "done"
	PhaseDead    Phase = "dead"    // failed for good, rejected or expired
	PhaseSkipped Phase = "skipped" // by the definition or by a person
)

// Run is a step, or its compensation, as far as it came.
type Run struct {
	Phase      Phase     `json:"phase,omitzero"`
	Try        int       `json:"try,omitzero"` // how often a task was made for it
	TaskID     task.ID   `json:"task_id,omitzero"`
	Queue      string    `json:"queue,omitzero"`
	Key        string    `json:"key,omitzero"`
	BeganAt    time.Time `json:"began_at,omitzero"` // of the latest try
	EndedAt    time.Time `json:"ended_at,omitzero"`
	Tried      bool      `json:"tried,omitzero"`      // an earlier try was handed out
	Attempts   int       `json:"attempts,omitzero"`   // that failed, of the latest try
	Deliveries int       `json:"deliveries,omitzero"` // of the latest try
	Worker     string    `json:"worker,omitzero"`
	Error      string    `json:"error,omitzero"` // the latest
}

// StepState is what became of a step.
type StepState struct {
	Name   string `json:"name"`
	Do     Run    `json:"do,omitzero"`
	Undo   Run    `json:"undo,omitzero"`
	Result Value  `json:"result,omitempty"`
}

// State is everything that changes about a saga. It is kept in a record.
type State struct {
	ID         string      `json:"id"`
	Name       string      `json:"name"`
	Version    string      `json:"version"` // of the definition
	Status     Status      `json:"status"`
	Birth      uint64      `json:"birth"`         // unique to this saga also if its id is used again
	Stage      int         `json:"stage"`         // that runs, while the saga goes forward
	Back       bool        `json:"back,omitzero"` // it compensates, or has
	Reason     string      `json:"reason,omitzero"`
	StartedAt  time.Time   `json:"started_at"`
	DeadlineAt time.Time   `json:"deadline_at,omitzero"`
	EndedAt    time.Time   `json:"ended_at,omitzero"`
	Ends       int         `json:"ends,omitzero"` // how often it ended
	Steps      []StepState `json:"steps"`
	Operations []string    `json:"operations,omitempty"` // ids of the latest ones
	Events     []Event     `json:"events"`
	Dropped    int         `json:"dropped,omitzero"` // events that are not kept any more
}

// What happened, as the timeline says it.
const (
	EventStarted      = "started"      // the saga
	EventBegan        = "began"        // a step: its task was emitted
	EventDone         = "done"         // a step
	EventDead         = "dead"         // a step
	EventSkipped      = "skipped"      // a step
	EventCompensating = "compensating" // the saga turned back
	EventEnded        = "ended"        // the saga
)

// Event is one line of the timeline.
type Event struct {
	At        time.Time `json:"at"`
	What      string    `json:"what"`
	Step      string    `json:"step,omitzero"` // empty: the saga itself
	Undo      bool      `json:"undo,omitzero"` // the step's compensation
	Try       int       `json:"try,omitzero"`
	Attempts  int       `json:"attempts,omitzero"` // failed ones
	Worker    string    `json:"worker,omitzero"`
	Operation string    `json:"operation,omitzero"` // of the person who asked for it
	Text      string    `json:"text,omitzero"`      // an error or a reason
}

// Bounds of what a state keeps.
const (
	keptEvents     = 100
	keptOperations = 20
	keptText       = 200 // bytes of an error in the state and the timeline
)

// note adds a line to the timeline; the first one stays whatever comes.
func (s *State) note(e Event) {
	e.Text = clip(e.Text)
	if len(s.Events) >= keptEvents {
		s.Events = append(s.Events[:1], s.Events[2:]...)
		s.Dropped++
	}
	s.Events = append(s.Events, e)
}

// clip bounds a text and makes it one line.
func clip(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) <= keptText {
		return text
	}
	cut := keptText - len("…")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// Encode returns the state as JSON. Where it is larger than a record may be, the
// older half of the timeline goes, again and again until it fits.
func (s *State) Encode() ([]byte, error) {
	for {
		b, err := json.Marshal(s)
		if err != nil {
			return nil, fmt.Errorf("encode state of saga %q: %w", s.ID, err)
		}
		if len(b) <= task.MaxRecordValue {
			return b, nil
		}
		half := (len(s.Events) + 1) / 2
		if half == 0 {
			return nil, task.Errorf(task.CodeTooLarge, "the state of saga %q has %d bytes; a record holds at most %d", s.ID, len(b), task.MaxRecordValue)
		}
		s.Events, s.Dropped = s.Events[half:], s.Dropped+half
	}
}

// DecodeState reads what Encode wrote.
func DecodeState(b []byte) (*State, error) {
	s := &State{}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("decode state of saga: %w", err)
	}
	return s, nil
}

// Value is bytes that stand in JSON as they are where they are JSON, so that a
// record is pleasant to read, and else in base64. They come back byte for byte.
type Value []byte

const (
	bytesPrefix = `{"base64":"`
	bytesSuffix = `"}`
)

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) {
	if plain, err := json.Marshal(json.RawMessage(v)); err == nil && bytes.Equal(plain, v) && !bytes.HasPrefix(v, []byte(bytesPrefix)) {
		return plain, nil
	}
	return []byte(bytesPrefix + base64.StdEncoding.EncodeToString(v) + bytesSuffix), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *Value) UnmarshalJSON(b []byte) error {
	inner, coded := bytes.CutPrefix(b, []byte(bytesPrefix))
	if !coded {
		*v = bytes.Clone(b)
		return nil
	}
	decoded, err := base64.StdEncoding.DecodeString(string(bytes.TrimSuffix(inner, []byte(bytesSuffix))))
	*v = decoded
	return err
}
