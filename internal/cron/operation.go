package cron

import (
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Operation is what a person asks of a schedule.
type Operation struct {
	Do         Do
	Definition *Definition // DoUpdate
}

// Do is a kind of operation.
type Do string

// The kinds.
const (
	DoUpdate Do = "update" // has another definition from now on; what runs goes on
	DoPause  Do = "pause"  // has no ticks until it is resumed
	DoResume Do = "resume" // ticks again; those that passed meanwhile are no missed ones
	DoRun    Do = "run"    // submits a task now, beside its ticks
)

// Operate carries an operation out, and returns the tasks that follow; changed says
// that it had an effect.
func (s *Schedule) Operate(now time.Time, op *Operation) (tasks []task.Task, changed bool) {
	switch op.Do {
	case DoUpdate:
		if s.Same(op.Definition) {
			return nil, false
		}
		s.Definition, s.Problem, s.read = *op.Definition, "", false
		if s.Definition.Overlap != OverlapQueue {
			s.Counts.Skipped += uint64(len(s.Queued))
			s.Queued = nil
		}
		s.plan(s.later(now))
	case DoPause:
		if s.Paused {
			return nil, false
		}
		s.Paused = true
		s.plan(now) // which finds none
	case DoResume:
		if !s.Paused {
			return nil, false
		}
		s.Paused = false
		s.plan(s.later(now))
		return s.release(), true
	case DoRun:
		return []task.Task{s.run(now)}, true
	}
	return nil, true
}

// run makes the task of a run by hand. Its tick is now, or just behind that of the run
// before: people may ask at the same moment, and each gets a task.
func (s *Schedule) run(now time.Time) task.Task {
	tick := now.UTC()
	if !tick.After(s.LastRun) {
		tick = s.LastRun.Add(time.Nanosecond)
	}
	s.LastRun = tick
	return s.fire(Run{Tick: tick, Manual: true})
}

// later is now, or the last tick where that is later: a clock may have gone back, and
// a tick fires once.
func (s *Schedule) later(now time.Time) time.Time {
	if s.Last.After(now) {
		return s.Last
	}
	return now
}
