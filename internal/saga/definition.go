package saga

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Limits of sagas, in bytes where nothing else is said.
const (
	MaxSteps      = 50       // of one definition
	MaxDefinition = 64 << 10 // as JSON
	MaxID         = 256
	MaxInput      = 64 << 10
	MaxResult     = 16 << 10 // of one step
	MaxResults    = 64 << 10 // of all steps together
)

// DefaultRetention is how long a saga that ended is kept unless its definition
// says otherwise.
const DefaultRetention = 7 * 24 * time.Hour

const maxDuration = 366 * 24 * time.Hour

// OnDead says what becomes of a saga when a step is dead: failed for good,
// rejected or expired.
type OnDead string

// What a definition may ask for.
const (
	OnDeadCompensate OnDead = "compensate" // undo what was done; the default
	OnDeadHalt       OnDead = "halt"       // wait for a person
	OnDeadSkip       OnDead = "skip"       // go on without it
)

// When says which steps are compensated.
type When string

// What a definition may ask for.
const (
	WhenDone  When = "done"  // those that took effect; the default
	WhenTried When = "tried" // also those that were begun and then failed
)

// Duration is a time.Duration that is text in JSON, like "1m30s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	parsed, err := time.ParseDuration(string(b))
	*d = Duration(parsed)
	return err
}

// Retry is a retry policy; fields that are zero have the defaults of tasks.
type Retry struct {
	Base        Duration `json:"base,omitzero"`
	Factor      float64  `json:"factor,omitzero"`
	Max         Duration `json:"max,omitzero"`
	MaxAttempts int      `json:"max_attempts,omitzero"`
}

// Definition says of what steps a saga consists.
type Definition struct {
	Name      string   `json:"name"`
	Deadline  Duration `json:"deadline,omitzero"`  // from the start; then it compensates; zero: none
	Retention Duration `json:"retention,omitzero"` // after its end; zero: DefaultRetention
	Stages    []Stage  `json:"stages"`
}

// Stage is one step, or several that run at the same time.
type Stage []Step

// Step is one task of a saga.
type Step struct {
	Name    string          `json:"name"`
	Queue   string          `json:"queue"`
	Key     string          `json:"key,omitzero"`  // template
	Type    string          `json:"type,omitzero"` // of the task; empty: the step's name
	Payload json.RawMessage `json:"payload,omitzero"`
	Retry   *Retry          `json:"retry,omitzero"`   // nil: the queue's
	Timeout Duration        `json:"timeout,omitzero"` // per attempt; zero: the queue's
	OnDead  OnDead          `json:"on_dead,omitzero"`
	// Compensation undoes the step; nil: there is nothing to undo.
	Compensation *Compensation `json:"compensation,omitzero"`
}

// Compensation is the task that undoes a step. Its key is that of the step.
type Compensation struct {
	Queue   string          `json:"queue,omitzero"` // empty: the step's
	Type    string          `json:"type,omitzero"`  // empty: "undo-" and the step's type
	Payload json.RawMessage `json:"payload,omitzero"`
	Retry   *Retry          `json:"retry,omitzero"` // nil: until it succeeds
	Timeout Duration        `json:"timeout,omitzero"`
	When    When            `json:"when,omitzero"`
}

// Version names the content of the definition: two with one version are the
// same.
func (d *Definition) Version() string {
	sum := sha256.Sum256(d.encode())
	return hex.EncodeToString(sum[:6])
}

func (d *Definition) encode() []byte {
	b, err := json.Marshal(d)
	if err != nil { // a payload that is not JSON, which Validate refuses
		return nil
	}
	return b
}

// Encode returns the definition as JSON, and an error where it is not valid.
func (d *Definition) Encode() ([]byte, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	return d.encode(), nil
}

// DecodeDefinition reads what Encode wrote.
func DecodeDefinition(b []byte) (*Definition, error) {
	d := &Definition{}
	if err := json.Unmarshal(b, d); err != nil {
		return nil, fmt.Errorf("decode definition of saga: %w", err)
	}
	return d, nil
}

// Queues are the queues that the saga uses, each once, in the order of steps.
func (d *Definition) Queues() []string {
	var names []string
	seen := map[string]bool{}
	note := func(name string) {
		if name != "" && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for _, stage := range d.Stages {
		for i := range stage {
			note(stage[i].Queue)
			if c := stage[i].Compensation; c != nil {
				note(c.Queue)
			}
		}
	}
	return names
}

// steps returns all steps in their order.
func (d *Definition) steps() []*Step {
	var all []*Step
	for _, stage := range d.Stages {
		for i := range stage {
			all = append(all, &stage[i])
		}
	}
	return all
}

func (d *Definition) retention() time.Duration {
	if d.Retention == 0 {
		return DefaultRetention
	}
	return time.Duration(d.Retention)
}

func (s *Step) onDead() OnDead {
	if s.OnDead == "" {
		return OnDeadCompensate
	}
	return s.OnDead
}

func (s *Step) taskType() string {
	if s.Type == "" {
		return s.Name
	}
	return s.Type
}

func (s *Step) undoQueue() string {
	if s.Compensation.Queue == "" {
		return s.Queue
	}
	return s.Compensation.Queue
}

func (s *Step) undoType() string {
	if s.Compensation.Type == "" {
		return "undo-" + s.taskType()
	}
	return s.Compensation.Type
}

// policy fills in what is not set; nil stays nil.
func (r *Retry) policy(attempts int) *task.RetryPolicy {
	p := task.DefaultQueue("").Retry
	if attempts > 0 {
		p.MaxAttempts = attempts
	} else if r == nil {
		return nil
	}
	if r == nil {
		return &p
	}
	if r.Base > 0 {
		p.Base = time.Duration(r.Base)
	}
	if r.Factor > 0 {
		p.Factor = r.Factor
	}
	if r.Max > 0 {
		p.Max = time.Duration(r.Max)
	}
	if r.MaxAttempts > 0 {
		p.MaxAttempts = r.MaxAttempts
	}
	p.Max = max(p.Max, p.Base)
	return &p
}
