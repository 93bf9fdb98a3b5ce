package task

import (
	"errors"
	"slices"
	"strings"
)

// Limits of a selector.
const (
	MaxTerms    = 8   // of one selector
	MaxSelector = 512 // bytes of its canonical form
)

// AnyWorker is the term that every worker meets. In a change of a queue's
// settings it takes an earlier demand back; elsewhere it says nothing.
const AnyWorker = "*"

// Selector is a demand on the labels of a worker in canonical form: its terms,
// sorted, without repeats and joined by commas; empty: none. A term is
//
//	name           the worker has a label of that name
//	!name          it has none
//	name=value     it has the label with this value
//	name!=value    it does not have the label with this value
type Selector string

// NewSelector makes a selector of terms. Each of them may hold several, joined by
// commas. It reports the first one that cannot be read.
func NewSelector(terms ...string) (Selector, error) {
	var all []string
	for _, several := range terms {
		for term := range strings.SplitSeq(several, ",") {
			term = strings.TrimSpace(term)
			if term == "" {
				continue
			}
			if err := checkTerm(term); err != nil {
				return "", err
			}
			all = append(all, term)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > 1 {
		all = slices.DeleteFunc(all, func(term string) bool { return term == AnyWorker })
	}
	s := Selector(strings.Join(all, ","))
	return s, s.validate(len(all))
}

func (s Selector) validate(terms int) error {
	switch {
	case terms > MaxTerms:
		return Errorf(CodeInvalidArgument, "the worker labels have %d terms; at most %d are allowed", terms, MaxTerms)
	case len(s) > MaxSelector:
		return Errorf(CodeInvalidArgument, "the terms on worker labels have %d bytes; at most %d are allowed", len(s), MaxSelector)
	}
	return nil
}

func checkTerm(term string) error {
	if term == AnyWorker {
		return nil
	}
	name, value, isValue := strings.Cut(strings.TrimPrefix(term, "!"), "=")
	if isValue && !strings.HasPrefix(term, "!") {
		name = strings.TrimSuffix(name, "!")
	}
	wrong := func(what string) error {
		return Errorf(CodeInvalidArgument, "term %q on worker labels cannot be read: %s; want name, !name, name=value or name!=value", term, what)
	}
	switch {
	case name == "":
		return wrong("it names no label")
	case isValue && strings.HasPrefix(term, "!"):
		return wrong("a value is excluded with name!=value")
	case strings.ContainsAny(name, "!=*, "):
		return wrong("the name has a character of '!=*, '")
	case isValue && value == "":
		return wrong("the value is empty")
	case strings.Contains(value, "*"):
		return wrong("'*' is no wildcard, and the name alone asks for any value")
	case strings.ContainsAny(value, "!=, "):
		return wrong("the value has a character of '!=, '")
	}
	return nil
}

// Terms returns the terms one by one.
func (s Selector) Terms() []string {
	if s == "" {
		return nil
	}
	return strings.Split(string(s), ",")
}

// Matches reports whether a worker with these labels meets every term.
func (s Selector) Matches(labels map[string]string) bool {
	if s == "" {
		return true
	}
	for term := range strings.SplitSeq(string(s), ",") {
		if !meets(labels, term) {
			return false
		}
	}
	return true
}

func meets(labels map[string]string, term string) bool {
	if term == AnyWorker {
		return true
	}
	if name, ok := strings.CutPrefix(term, "!"); ok {
		_, has := labels[name]
		return !has
	}
	name, want, isValue := strings.Cut(term, "=")
	if !isValue {
		_, has := labels[name]
		return has
	}
	name, other := strings.CutSuffix(name, "!")
	got, has := labels[name]
	return (has && got == want) != other
}

// and returns the selector that asks for the terms of both.
func (s Selector) and(t Selector) Selector {
	switch {
	case t == "" || t == s:
		return s
	case s == "":
		return t
	}
	all := append(s.Terms(), t.Terms()...)
	slices.Sort(all)
	return Selector(strings.Join(slices.Compact(all), ","))
}

// Placement says which workers may get a task: those that meet Require, and
// among them first those that meet Prefer, as long as they have room. The zero
// value asks for nothing.
type Placement struct {
	Require Selector `json:"require,omitempty"`
	Prefer  Selector `json:"prefer,omitempty"`
}

// With returns what a task asks for in a queue that asks for q: the terms of both.
func (p Placement) With(q Placement) Placement {
	return Placement{Require: p.Require.and(q.Require), Prefer: p.Prefer.and(q.Prefer)}
}

// Validate reports the first selector that NewSelector would not have made.
func (p Placement) Validate() error {
	for _, c := range []struct {
		field string
		s     Selector
	}{{"require", p.Require}, {"prefer", p.Prefer}} {
		again, err := NewSelector(string(c.s))
		if err != nil {
			if e, ok := errors.AsType[*Error](err); ok {
				return e.WithField(c.field)
			}
			return err
		}
		if again != c.s {
			return Errorf(CodeInvalidArgument, "%s %q is not in canonical form: want %q", c.field, c.s, again).WithField(c.field)
		}
	}
	return nil
}
