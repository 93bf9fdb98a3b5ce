package history

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// Bounds of the search for an order of one record's accesses.
const (
	maxSearched   = 2000
	searchTimeout = 10 * time.Second
)

// records checks each record's accesses: some order of them, compatible with
// their times, explains what each one saw; and no version goes back.
func (c *check) records() {
	records := grouped(pointers(c.h.Accesses), func(a **Access) (Ref, bool) {
		return Ref{(*a).Key, (*a).Name}, (*a).Kind != Read || (*a).Result == OK
	})
	model := recordModel()
	for _, accesses := range records {
		c.versions(accesses)
		if len(accesses) > maxSearched {
			c.report.Undecided++
			continue
		}
		switch porcupine.CheckOperationsTimeout(model, operations(accesses), searchTimeout) {
		case porcupine.Illegal:
			c.report.violate(RuleLinearizable, entries(accesses), "no order of the %d accesses of record %q of key %q explains them",
				len(accesses), accesses[0].Name, accesses[0].Key)
		case porcupine.Unknown:
			c.report.Undecided++
		case porcupine.Ok:
		}
	}
}

func operations(accesses []*Access) []porcupine.Operation {
	ops := make([]porcupine.Operation, len(accesses))
	for i, a := range accesses {
		ops[i] = porcupine.Operation{ClientId: i, Input: a, Output: a, Call: a.Start, Return: a.End}
		if a.Result == Unknown {
			ops[i].Return = math.MaxInt64
		}
	}
	return ops
}

// versions checks that nobody saw a version after somebody had seen a greater
// one.
func (c *check) versions(accesses []*Access) {
	var seen []*Access
	for _, a := range accesses {
		if a.Result == OK && a.Version > 0 {
			seen = append(seen, a)
		}
	}
	byEnd := slices.Clone(seen)
	slices.SortStableFunc(seen, func(a, b *Access) int { return cmp.Compare(a.Start, b.Start) })
	slices.SortStableFunc(byEnd, func(a, b *Access) int { return cmp.Compare(a.End, b.End) })
	ended := 0
	var highest *Access
	for _, a := range seen {
		for ; ended < len(byEnd) && byEnd[ended].End < a.Start; ended++ {
			if highest == nil || byEnd[ended].Version > highest.Version {
				highest = byEnd[ended]
			}
		}
		if highest != nil && a.Version < highest.Version {
			c.report.violate(RuleVersionBack, []any{*highest, *a}, "record %q of key %q went back from version %d to %d",
				a.Name, a.Key, highest.Version, a.Version)
		}
	}
}

// recordState is a record as it may be. After a write with an unknown result
// the version is open: greater than the one given, which nobody was told.
type recordState struct {
	version uint64 // 0: no record
	value   string
	open    bool
}

// is reports whether the record may have this version.
func (s recordState) is(version uint64) bool {
	if s.open {
		return version > s.version
	}
	return version == s.version
}

func recordModel() porcupine.Model {
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{recordState{}} },
		Step: func(state, input, _ any) []any {
			s, ok := state.(recordState)
			a, isAccess := input.(*Access)
			if !ok || !isAccess {
				return nil
			}
			return s.step(a)
		},
	}
	return model.ToModel()
}

// step returns the states that the access may leave; none when it cannot have
// happened here.
func (s recordState) step(a *Access) []any {
	switch {
	case a.Kind == Read:
		if s.is(a.Version) && s.value == a.Value {
			return []any{recordState{version: a.Version, value: a.Value}}
		}
	case a.Result == Fail:
		if s.open || s.version != a.Expected {
			return []any{s}
		}
	case a.Result == OK:
		if s.is(a.Expected) && (a.Kind == Delete || a.Version > a.Expected) {
			return []any{a.after()}
		}
	default:
		states := []any{s}
		if s.is(a.Expected) {
			states = append(states, a.after())
		}
		return states
	}
	return nil
}

// after is the record after the write.
func (a *Access) after() recordState {
	switch {
	case a.Kind == Delete:
		return recordState{}
	case a.Result == Unknown:
		return recordState{version: a.Expected, value: a.Value, open: true}
	default:
		return recordState{version: a.Version, value: a.Value}
	}
}
