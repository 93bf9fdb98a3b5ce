package fenfa

import fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"

// AnyWorker is the term that every worker meets. In ConfigureQueue it takes an
// earlier demand back, because an empty list leaves the setting as it is.
const AnyWorker = "*"

// Placement says which workers may get a task, by their labels. A term is
// "name" (the worker has a label of that name), "!name" (it has none), "name=value"
// or "name!=value". At most 8 terms a list.
type Placement struct {
	Require []string // all of these must be met
	Prefer  []string // workers that meet all of these come first, as long as they have room
}

// Require lets only workers have the task whose labels meet every term, also those
// of the task's queue. A task that no connected worker may have waits for one. See
// Placement.
func Require(terms ...string) TaskOption {
	return func(t *Task) {
		p := t.placement()
		p.Require = append(p.Require, terms...)
	}
}

// Prefer gives the task to a worker whose labels meet every term, as long as one of
// them has room, and else to any that may have it. See Placement.
func Prefer(terms ...string) TaskOption {
	return func(t *Task) {
		p := t.placement()
		p.Prefer = append(p.Prefer, terms...)
	}
}

// Placement returns what the task asks of workers, without what its queue asks.
func (t *Task) Placement() Placement { return placementOf(t.wire.GetPlacement()) }

// placement returns the task's placement to be added to.
func (t *Task) placement() *fenfav1.Placement {
	if t.wire.Placement == nil {
		t.wire.Placement = &fenfav1.Placement{}
	}
	return t.wire.Placement
}

func placementOf(w *fenfav1.Placement) Placement {
	return Placement{Require: w.GetRequire(), Prefer: w.GetPrefer()}
}

func (p Placement) toWire() *fenfav1.Placement {
	if len(p.Require) == 0 && len(p.Prefer) == 0 {
		return nil
	}
	return &fenfav1.Placement{Require: p.Require, Prefer: p.Prefer}
}
