package fenfa

import (
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Unique says what makes a task the same as another one, and for how long that keeps
// it out; see OnlyOne.
type Unique struct {
	// Args are names of top-level fields of the payload, which must be a JSON object.
	// Fields that are the same as compact JSON text are the same, and so are fields that
	// are missing or null. At most 32. None, and no By: the whole payload, byte for byte.
	Args []string
	// By is what counts instead of the payload, at most 512 bytes.
	By string
	// Period is for how long after its acceptance a task keeps others out at least,
	// also when it has ended; at most 366 days. 0: only until it has ended.
	Period time.Duration
	// States are those in which a task keeps others out: StateQueued, StateScheduled and
	// StateRunning, and with a Period, until that is over, StateDone, StateDead,
	// StateCancelled and StateExpired. A ready task counts as queued. None: until it has
	// ended, and with a Period in every state.
	States []LifeState
}

// OnlyOne makes a submit do nothing while another task of the same queue, key, type
// and content is there that has not ended: the result is a Duplicate, with the ID and
// the state of that one. Of submits at the same time one is accepted. A task that a
// handler emits cannot be unique.
func OnlyOne(u Unique) TaskOption {
	return func(t *Task) {
		w := &fenfav1.Unique{Args: u.Args, By: u.By, Period: durationToWire(u.Period)}
		for _, s := range u.States {
			state, err := s.toWire()
			if err != nil {
				t.err = err
			}
			w.States = append(w.States, state)
		}
		t.wire.Unique = w
	}
}
