package task

// Switch is a setting that is on or off; empty, it is as it was, in a change.
type Switch string

// The values of a Switch.
const (
	SwitchOn  Switch = "on"
	SwitchOff Switch = "off"
)

// On reports whether it is on.
func (s Switch) On() bool { return s == SwitchOn }

// mergePriorities takes over whether priorities have an effect. Logs that they had once
// stay.
func (q *Queue) mergePriorities(change *Queue) {
	set(&q.Priorities, change.Priorities)
	q.Banded = q.Banded || q.Priorities.On()
}

func (q *Queue) validatePriorities() error {
	if q.Priorities != SwitchOn && q.Priorities != SwitchOff {
		return Errorf(CodeInvalidArgument, "priorities %q is not known: want on or off", q.Priorities).WithField("priorities")
	}
	return nil
}
