package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fenfa/fenfa/internal/spell"
	"github.com/fenfa/fenfa/internal/task"
)

// Bounds of scopes.
const (
	maxScopes  = 64
	maxPattern = 512 // bytes, as long as a key
)

// Scope is a pattern and the actions that are allowed on what it matches.
type Scope struct {
	// Pattern is a name, the beginning of names with a * behind it, or *.
	Pattern string
	Actions []Action
}

// ParseScope reads a scope like "orders:submit,read". The last colon counts, because
// keys may have colons too.
func ParseScope(text string) (Scope, error) {
	wrong := func(format string, args ...any) error {
		return task.Errorf(task.CodeInvalidArgument, "scope %q: "+format, append([]any{shorten(text)}, args...)...).WithField("scopes")
	}
	colon := strings.LastIndex(text, ":")
	if colon < 0 {
		return Scope{}, wrong("want a name, a beginning and *, or *, then a colon and actions, like orders:submit,read")
	}
	s := Scope{Pattern: text[:colon]}
	switch stem := strings.TrimSuffix(s.Pattern, "*"); {
	case s.Pattern == "":
		return Scope{}, wrong("it names nothing before the colon: * stands for everything")
	case len(s.Pattern) > maxPattern:
		return Scope{}, wrong("the name has %d bytes; at most %d are allowed", len(s.Pattern), maxPattern)
	case strings.Contains(stem, "*"):
		return Scope{}, wrong("a * stands at the end of a name only")
	}
	for name := range strings.SplitSeq(text[colon+1:], ",") {
		a := Action(strings.TrimSpace(name))
		if !a.known() {
			return Scope{}, wrong("%s", unknownAction(string(a)))
		}
		if a.whole() && s.Pattern != "*" {
			return Scope{}, wrong("%s is not about single queues or keys: write *:%s", a, a)
		}
		if !slices.Contains(s.Actions, a) {
			s.Actions = append(s.Actions, a)
		}
	}
	return s, nil
}

func unknownAction(name string) string {
	known := make([]string, 0, len(Actions()))
	for _, a := range Actions() {
		known = append(known, string(a))
	}
	text := fmt.Sprintf("%q is no action: want %s", shorten(name), strings.Join(known, ", "))
	if near, ok := spell.Nearest(name, known); ok {
		text += fmt.Sprintf("; did you mean %s?", near)
	}
	return text
}

// String is the form that ParseScope reads.
func (s Scope) String() string {
	names := make([]string, len(s.Actions))
	for i, a := range s.Actions {
		names[i] = string(a)
	}
	return s.Pattern + ":" + strings.Join(names, ",")
}

// ParseScopes reads the scopes of a token.
func ParseScopes(texts []string) ([]Scope, error) {
	if len(texts) == 0 {
		return nil, task.Errorf(task.CodeInvalidArgument, "the token has no scopes: give at least one, like orders:submit").WithField("scopes")
	}
	if len(texts) > maxScopes {
		return nil, task.Errorf(task.CodeInvalidArgument, "the token has %d scopes; at most %d are allowed", len(texts), maxScopes).WithField("scopes")
	}
	scopes := make([]Scope, len(texts))
	for i, text := range texts {
		var err error
		if scopes[i], err = ParseScope(text); err != nil {
			return nil, err
		}
	}
	return scopes, nil
}

// Rights are scopes, arranged for questions. The zero value has none.
type Rights map[Action][]string // patterns

// RightsOf arranges scopes.
func RightsOf(scopes []Scope) Rights {
	r := Rights{}
	for _, s := range scopes {
		for _, has := range s.Actions {
			for _, a := range Actions() {
				if has.implies(a) {
					r[a] = append(r[a], s.Pattern)
				}
			}
		}
	}
	// The pattern that matches everything is asked first.
	for _, patterns := range r {
		slices.SortStableFunc(patterns, func(a, b string) int { return len(a) - len(b) })
	}
	return r
}

// May reports whether the action is allowed on the name.
func (r Rights) May(a Action, name string) bool {
	for _, pattern := range r[a] {
		if stem, open := strings.CutSuffix(pattern, "*"); open && strings.HasPrefix(name, stem) || pattern == name {
			return true
		}
	}
	return false
}

// Covers reports whether the action is allowed on every name that begins so.
func (r Rights) Covers(a Action, prefix string) bool {
	for _, pattern := range r[a] {
		if stem, open := strings.CutSuffix(pattern, "*"); open && strings.HasPrefix(prefix, stem) {
			return true
		}
	}
	return false
}

// Some reports whether the action is allowed on anything at all.
func (r Rights) Some(a Action) bool { return len(r[a]) > 0 }

// shorten keeps what a caller brought from filling a message.
func shorten(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
