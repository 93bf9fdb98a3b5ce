package cron

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Bounds of what a schedule keeps and does.
const (
	// Grace is how late a tick may be taken and still be in time.
	Grace = 30 * time.Second
	// KeptRuns is how many runs a schedule remembers; those that have not ended come
	// on top, up to MaxOpen.
	KeptRuns = 10
	MaxOpen  = 100
	// MaxQueued is how many ticks wait with overlap queue; further ones are skipped.
	MaxQueued = 100
	// mostCounted bounds how far missed ticks are counted.
	mostCounted = 10_000
)

// Run is a task of a schedule.
type Run struct {
	Tick    time.Time  `json:"tick"`
	TaskID  task.ID    `json:"task_id"`
	Manual  bool       `json:"manual,omitempty"`
	State   task.State `json:"state,omitempty"` // how it ended; unknown: it has not
	EndedAt time.Time  `json:"ended_at,omitzero"`
	Error   string     `json:"error,omitempty"`
}

// Counts are what became of ticks.
type Counts struct {
	Fired   uint64 `json:"fired"`   // a task was submitted
	Skipped uint64 `json:"skipped"` // left out because of an overlap
	Missed  uint64 `json:"missed"`  // nobody could take them in time, and they got no task of their own
}

// Schedule is a definition and where it is.
type Schedule struct {
	Definition Definition `json:"-"`     // stored by itself
	Birth      uint64     `json:"birth"` // tells it from an earlier one of its name
	Anchor     time.Time  `json:"anchor"`
	Paused     bool       `json:"paused,omitempty"`
	Next       time.Time  `json:"next,omitzero"`      // zero: paused, or no tick follows
	Last       time.Time  `json:"last,omitzero"`      // tick that was taken
	LastRun    time.Time  `json:"last_run,omitzero"`  // tick of the latest run by hand
	Unplanned  time.Time  `json:"unplanned,omitzero"` // the tick after this moment could not be found; zero: it could
	Counts     Counts     `json:"counts"`
	Runs       []Run      `json:"runs,omitempty"`   // oldest first
	Queued     []Waiting  `json:"queued,omitempty"` // with overlap queue
	Problem    string     `json:"problem,omitempty"`

	read bool // spec and zone are those of the definition
	spec Spec
	zone *time.Location
}

// when returns the spec and the zone of the definition.
func (s *Schedule) when() (*Spec, *time.Location, error) {
	var err error
	if !s.read {
		s.spec, s.zone, err = s.Definition.when()
		s.read = err == nil
	}
	return &s.spec, s.zone, err
}

// Waiting is a tick that waits for the end of the tasks before it.
type Waiting struct {
	Tick time.Time `json:"tick"`
}

// New returns a schedule that begins now. The definition is valid.
func New(now time.Time, birth uint64, d Definition) *Schedule {
	s := &Schedule{Definition: d, Birth: birth, Anchor: now.UTC().Truncate(time.Second)}
	s.plan(now)
	return s
}

// Decode reads what Encode wrote, with what Definition.Encode wrote.
func Decode(definition, state []byte) (*Schedule, error) {
	s := &Schedule{}
	if err := errors.Join(json.Unmarshal(definition, &s.Definition), json.Unmarshal(state, s)); err != nil {
		return nil, fmt.Errorf("read schedule: %w", err)
	}
	return s, nil
}

// Encode returns what is stored of where the schedule is.
func (s *Schedule) Encode() ([]byte, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode schedule: %w", err)
	}
	return b, nil
}

// Clone returns a copy that shares nothing that changes.
func (s *Schedule) Clone() *Schedule {
	c := *s
	c.Runs, c.Queued = slices.Clone(s.Runs), slices.Clone(s.Queued)
	return &c
}

// Ticks returns the next ticks after a moment, at most so many, as if the schedule
// were not paused.
func (s *Schedule) Ticks(after time.Time, most int) ([]time.Time, error) {
	spec, zone, err := s.when()
	if err != nil {
		return nil, err
	}
	var ticks []time.Time
	for at := after; len(ticks) < most; {
		if at = spec.Next(at, s.Anchor, zone); at.IsZero() {
			break
		}
		ticks = append(ticks, at)
	}
	return ticks, nil
}

// Same reports whether the schedule was defined like this.
func (s *Schedule) Same(d *Definition) bool { return s.Definition.same(d) }

// plan finds the first tick after a moment.
func (s *Schedule) plan(after time.Time) {
	s.Next, s.Unplanned = time.Time{}, time.Time{}
	if s.Paused {
		return
	}
	spec, zone, err := s.when()
	if err != nil { // The time zone database of this program is older.
		s.Problem, s.Unplanned = err.Error(), after
		return
	}
	s.Next = spec.Next(after, s.Anchor, zone)
}

// replan finds the tick that a program with an older time zone database could not
// find, and reports whether it did. The ticks since then were missed.
func (s *Schedule) replan() bool {
	if s.Unplanned.IsZero() {
		return false
	}
	if s.plan(s.Unplanned); !s.Unplanned.IsZero() {
		return false
	}
	s.Problem = ""
	return true
}

// Wakes is when Due is to be called: at the next tick, or soon where that could not be
// found. Zero: never.
func (s *Schedule) Wakes() time.Time {
	if !s.Unplanned.IsZero() {
		return s.Unplanned
	}
	return s.Next
}

// Due takes the ticks until now, and returns the tasks that follow; changed says
// that there were ticks, or that the next one is known now.
func (s *Schedule) Due(now time.Time) (tasks []task.Task, changed bool) {
	changed = s.replan()
	if s.Next.IsZero() || s.Next.After(now) {
		return nil, changed
	}
	spec, zone, err := s.when()
	if err != nil {
		s.plan(s.Next.Add(-time.Nanosecond)) // which says so
		return nil, true
	}
	latest := spec.latest(s.Next, now, s.Anchor, zone)
	for at := s.Next; at.Before(latest) && s.Counts.Missed < 1<<63; at = spec.Next(at, s.Anchor, zone) {
		s.Counts.Missed++
		if s.Counts.Missed%mostCounted == 0 {
			break
		}
	}
	s.Last = latest
	s.Next = spec.Next(latest, s.Anchor, zone)
	if now.Sub(latest) > Grace && s.Definition.Missed == MissedSkip {
		s.Counts.Missed++
		return nil, true
	}
	return s.meet(latest), true
}

// latest returns the last tick until now, of which the given one is the first.
func (s *Spec) latest(first, now, anchor time.Time, zone *time.Location) time.Time {
	for back := time.Minute; ; back *= 30 {
		at := now.Add(-back)
		if at.Before(first) {
			at = first.Add(-time.Nanosecond)
		}
		latest := time.Time{}
		for next := s.Next(at, anchor, zone); !next.IsZero() && !next.After(now); next = s.Next(next, anchor, zone) {
			latest = next
		}
		if !latest.IsZero() {
			return latest
		}
		if at.Before(first) {
			return first
		}
	}
}

// meet gives a tick its task, or lets it wait, or leaves it out.
func (s *Schedule) meet(tick time.Time) []task.Task {
	if s.open() > 0 {
		switch s.Definition.Overlap {
		case OverlapAllow:
		case OverlapQueue:
			if len(s.Queued) < MaxQueued {
				s.Queued = append(s.Queued, Waiting{tick})
				return nil
			}
			s.Counts.Skipped++
			return nil
		case OverlapSkip:
			s.Counts.Skipped++
			return nil
		}
	}
	return []task.Task{s.fire(Run{Tick: tick})}
}

// open is how many tasks have not ended.
func (s *Schedule) open() (n int) {
	for i := range s.Runs {
		if s.Runs[i].State == task.StateUnknown {
			n++
		}
	}
	return n
}

// fire makes the task of a run.
func (s *Schedule) fire(r Run) task.Task {
	t := s.Definition.task()
	kind, which := "tick", strconv.FormatInt(r.Tick.Unix(), 10)
	if r.Manual {
		kind, which = "run", r.Tick.UTC().Format(time.RFC3339Nano)
	}
	t.ID = task.DeriveID("fenfa.cron/"+kind, s.Definition.Name, strconv.FormatUint(s.Birth, 10), which)
	r.TaskID = t.ID
	ref := Ref{Name: s.Definition.Name, Birth: s.Birth, Tick: r.Tick}
	t.Headers = append(t.Headers, task.Header{Name: Header, Value: ref.encode()})
	sortHeaders(&t)
	s.Counts.Fired++
	s.Runs = append(s.Runs, r)
	s.trim()
	return t
}

// trim forgets the oldest runs.
func (s *Schedule) trim() {
	ended, open := len(s.Runs)-s.open()-KeptRuns, s.open()-MaxOpen
	s.Runs = slices.DeleteFunc(s.Runs, func(r Run) bool {
		if r.State == task.StateUnknown {
			open--
			return open >= 0
		}
		ended--
		return ended >= 0
	})
}

// Ended takes how a task of the schedule ended, in all runs that have it, and returns
// the task that waited for that.
func (s *Schedule) Ended(now time.Time, end *Ending) (tasks []task.Task, changed bool) {
	if end.Birth != s.Birth {
		return nil, false
	}
	for i := range s.Runs {
		if r := &s.Runs[i]; r.TaskID == end.TaskID && r.State == task.StateUnknown {
			r.State, r.EndedAt, r.Error = end.State, now.UTC(), clip(end.Error)
			changed = true
		}
	}
	if !changed {
		return nil, false
	}
	s.trim()
	return s.release(), true
}

// release lets the next tick that waits go on, if nothing holds it up any more.
func (s *Schedule) release() []task.Task {
	if len(s.Queued) == 0 || s.Paused || s.open() > 0 && s.Definition.Overlap != OverlapAllow {
		return nil
	}
	tick := s.Queued[0].Tick
	s.Queued = s.Queued[1:]
	return []task.Task{s.fire(Run{Tick: tick})}
}

// maxError bounds the text that a run keeps.
const maxError = 512

func clip(text string) string {
	if len(text) <= maxError {
		return text
	}
	return text[:maxError-3] + "..."
}
