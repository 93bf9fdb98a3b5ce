package access

import "slices"

// Action is something that a token may be allowed to do.
type Action string

// The actions. What the target of a scope names depends on the action.
const (
	// Submit allows submitting tasks to queues.
	Submit Action = "submit"
	// Work allows taking tasks of queues, and finishing them: state of their own keys
	// included.
	Work Action = "work"
	// Read allows looking at queues: settings, tasks, dead letters.
	Read Action = "read"
	// Manage allows changing queues: settings, what waits in them, dead letters.
	Manage Action = "manage"
	// StateRead allows reading records of keys, their history and their changes.
	StateRead Action = "state-read"
	// State allows writing records of keys, and all that StateRead allows.
	State Action = "state"
	// Lock allows acquiring locks and looking at them.
	Lock Action = "lock"
	// Saga allows starting sagas of definitions and looking at them.
	Saga Action = "saga"
	// Operate allows retrying, skipping and compensating sagas of definitions.
	Operate Action = "operate"
	// Metrics allows reading the metrics of the node. Its target is *.
	Metrics Action = "metrics"
	// Admin allows everything, tokens included. Its target is *.
	Admin Action = "admin"
)

// Actions lists all actions.
func Actions() []Action {
	return []Action{Submit, Work, Read, Manage, StateRead, State, Lock, Saga, Operate, Metrics, Admin}
}

// implies reports whether who may do a may do b too.
func (a Action) implies(b Action) bool {
	return a == b || a == Admin || a == State && b == StateRead
}

// whole reports whether the action knows no target but *.
func (a Action) whole() bool { return a == Admin || a == Metrics }

func (a Action) known() bool { return slices.Contains(Actions(), a) }

// target names what the targets of an action are.
func (a Action) target() string {
	switch a {
	case StateRead, State:
		return "key"
	case Lock:
		return "lock"
	case Saga, Operate:
		return "saga"
	case Submit, Work, Read, Manage, Metrics, Admin:
	}
	return "queue"
}
