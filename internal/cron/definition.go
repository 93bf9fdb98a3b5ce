package cron

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Overlap says what becomes of a tick while the task of an earlier one has not
// ended.
type Overlap string

// The ways to treat an overlap.
const (
	OverlapSkip  Overlap = "skip"  // it is left out
	OverlapAllow Overlap = "allow" // its task is submitted all the same
	OverlapQueue Overlap = "queue" // its task is submitted when those before have ended
)

// Missed says what becomes of ticks that nobody could take in time.
type Missed string

// The ways to treat missed ticks.
const (
	MissedRunOnce Missed = "run_once" // one task for all of them, with the time of the latest
	MissedSkip    Missed = "skip"     // none
)

// Bounds of a definition, in bytes.
const (
	MaxName    = 128
	MaxPayload = 64 << 10
)

// Definition is what a person says of a schedule.
type Definition struct {
	Name    string            `json:"name"`
	Spec    string            `json:"spec"`
	Zone    string            `json:"zone,omitempty"` // of the time zone database; empty: UTC
	Queue   string            `json:"queue"`
	Key     string            `json:"key,omitempty"`
	Type    string            `json:"type,omitempty"`
	Payload []byte            `json:"payload,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Overlap Overlap           `json:"overlap,omitempty"` // empty: skip
	Missed  Missed            `json:"missed,omitempty"`  // empty: run_once
}

// ValidateName refuses what cannot be the name of a schedule.
func ValidateName(name string) error {
	if name == "" || len(name) > MaxName {
		return task.Errorf(task.CodeInvalidArgument, "a schedule's name has 1 to %d bytes, this one has %d", MaxName, len(name)).WithField("name")
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r) {
			return task.Errorf(task.CodeInvalidArgument, "schedule %q: a name consists of letters, digits and . _ -", name).WithField("name")
		}
	}
	return nil
}

// Normalize fills in what was left empty, and validates.
func (d *Definition) Normalize() error {
	d.Zone = cmp.Or(d.Zone, "UTC")
	d.Overlap, d.Missed = cmp.Or(d.Overlap, OverlapSkip), cmp.Or(d.Missed, MissedRunOnce)
	if err := ValidateName(d.Name); err != nil {
		return err
	}
	if _, _, err := d.when(); err != nil {
		return err
	}
	if !slices.Contains([]Overlap{OverlapSkip, OverlapAllow, OverlapQueue}, d.Overlap) {
		return task.Errorf(task.CodeInvalidArgument, "overlap %q is not known: want skip, allow or queue", d.Overlap).WithField("overlap")
	}
	if !slices.Contains([]Missed{MissedRunOnce, MissedSkip}, d.Missed) {
		return task.Errorf(task.CodeInvalidArgument, "missed %q is not known: want run_once or skip", d.Missed).WithField("missed")
	}
	if len(d.Payload) > MaxPayload {
		return task.Errorf(task.CodeTooLarge, "payload has %d bytes; at most %d are allowed", len(d.Payload), MaxPayload).WithField("payload")
	}
	t := d.task()
	return t.Validate()
}

// when returns the parsed spec and the zone in which it is read.
func (d *Definition) when() (Spec, *time.Location, error) {
	spec, err := Parse(d.Spec)
	if err != nil {
		return Spec{}, nil, err
	}
	if d.Zone == "Local" {
		return Spec{}, nil, task.Errorf(task.CodeInvalidArgument, "zone Local is another one on each machine: name it, as Europe/Berlin").WithField("zone")
	}
	zone, err := time.LoadLocation(d.Zone)
	if err != nil {
		return Spec{}, nil, task.Errorf(task.CodeInvalidArgument, "zone %q is not known: want a name of the time zone database, as Europe/Berlin, or UTC", d.Zone).WithField("zone")
	}
	return spec, zone, nil
}

// task is the task of a tick, but for what says whose it is.
func (d *Definition) task() task.Task {
	t := task.Task{Queue: d.Queue, Key: d.Key, Type: d.Type, Payload: d.Payload}
	for name, value := range d.Headers {
		t.Headers = append(t.Headers, task.Header{Name: name, Value: value})
	}
	sortHeaders(&t)
	return t
}

func sortHeaders(t *task.Task) {
	slices.SortFunc(t.Headers, func(a, b task.Header) int { return strings.Compare(a.Name, b.Name) })
}

// Encode returns what is stored of the definition.
func (d *Definition) Encode() ([]byte, error) {
	b, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode definition of schedule: %w", err)
	}
	return b, nil
}

// same reports whether two definitions are equal.
func (d *Definition) same(o *Definition) bool {
	// Both can be encoded: they were decoded from a request.
	a, _ := json.Marshal(d)
	b, _ := json.Marshal(o)
	return bytes.Equal(a, b)
}
