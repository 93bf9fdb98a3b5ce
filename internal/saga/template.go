package saga

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fenfa/fenfa/internal/task"
)

// Templates are text with places like ${input.order.id}, ${results.pay.receipt} or
// ${saga.id}: a path into what the saga began with, what an earlier step returned,
// or the saga's own "id" and "name". $${ stands for ${ itself. A payload is JSON
// whose strings are templates; one that is a single place becomes the value found
// there, whatever its type.

// part is text, or where path is set, a place.
type part struct {
	text string
	path []string
}

// split reads a template.
func split(text string) ([]part, error) {
	var parts []part
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "${")
		if !found {
			return append(parts, part{text: rest}), nil
		}
		if strings.HasSuffix(before, "$") {
			parts = append(parts, part{text: before[:len(before)-1] + "${"})
			rest = after
			continue
		}
		if before != "" {
			parts = append(parts, part{text: before})
		}
		inner, next, closed := strings.Cut(after, "}")
		if !closed {
			return nil, fmt.Errorf("%q has a place that does not end: want ${input.name}", text)
		}
		path := strings.Split(strings.TrimSpace(inner), ".")
		if slices.Contains(path, "") {
			return nil, fmt.Errorf("${%s} is not a path: want names with dots between, as in ${input.order.id}", inner)
		}
		parts = append(parts, part{path: path})
		rest = next
	}
	return parts, nil
}

// checkTemplate reports what is wrong with a template. Results may be those of the
// known steps.
func checkTemplate(text string, known map[string]bool) *task.Error {
	parts, err := split(text)
	if err != nil {
		return task.Errorf(task.CodeInvalidArgument, "%w", err)
	}
	for _, p := range parts {
		if p.path == nil {
			continue
		}
		whole := strings.Join(p.path, ".")
		switch p.path[0] {
		case "input":
		case "saga":
			if len(p.path) != 2 || p.path[1] != "id" && p.path[1] != "name" {
				return task.Errorf(task.CodeInvalidArgument, "${%s} is not known: a saga has ${saga.id} and ${saga.name}", whole)
			}
		case "results":
			if len(p.path) < 2 || !known[p.path[1]] {
				return task.Errorf(task.CodeInvalidArgument, "${%s} is not the result of an earlier step: want ${results.STEP}", whole)
			}
		default:
			return task.Errorf(task.CodeInvalidArgument, "${%s} is not known: a path begins with input, results or saga", whole)
		}
	}
	return nil
}

// checkPayload reports what is wrong with a payload.
func checkPayload(payload []byte, known map[string]bool) *task.Error {
	if len(payload) == 0 {
		return nil
	}
	doc, err := parse(payload)
	if err != nil {
		return task.Errorf(task.CodeInvalidArgument, "the payload is not JSON: %w", err)
	}
	var wrong *task.Error
	_, _ = rewrite(doc, func(text string) (any, error) {
		if err := checkTemplate(text, known); err != nil && wrong == nil {
			wrong = err
		}
		return text, nil
	})
	return wrong
}

// parse reads one JSON value; numbers keep their digits.
func parse(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("there is more than one value")
	}
	return v, nil
}

// rewrite replaces every string of a JSON value.
func rewrite(v any, f func(string) (any, error)) (any, error) {
	var err error
	switch v := v.(type) {
	case string:
		return f(v)
	case []any:
		for i := range v {
			if v[i], err = rewrite(v[i], f); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for name := range v {
			if v[name], err = rewrite(v[name], f); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// scope is what places stand for.
type scope struct {
	saga    map[string]any
	input   []byte
	results func(step string) ([]byte, bool)
}

// text fills in a template whose places are text, numbers or booleans.
func (s *scope) text(template string) (string, error) {
	parts, err := split(template)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range parts {
		if p.path == nil {
			b.WriteString(p.text)
			continue
		}
		v, err := s.find(p.path)
		if err != nil {
			return "", err
		}
		switch v := v.(type) {
		case string:
			b.WriteString(v)
		case json.Number:
			b.WriteString(v.String())
		case bool:
			b.WriteString(strconv.FormatBool(v))
		default:
			return "", fmt.Errorf("${%s} is not text or a number, and cannot be part of a text", strings.Join(p.path, "."))
		}
	}
	return b.String(), nil
}

// payload fills in a payload; without one it is the saga's input as it is.
func (s *scope) payload(template []byte) ([]byte, error) {
	if len(template) == 0 {
		return s.input, nil
	}
	doc, err := parse(template)
	if err != nil {
		return nil, err
	}
	doc, err = rewrite(doc, func(text string) (any, error) {
		parts, err := split(text)
		if err == nil && len(parts) == 1 && parts[0].path != nil {
			return s.find(parts[0].path)
		}
		return s.text(text)
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(doc)
}

// find follows a path.
func (s *scope) find(path []string) (any, error) {
	var at any
	rest := path[1:]
	switch path[0] {
	case "saga":
		at = s.saga
	case "input":
		v, err := parse(s.input)
		if err != nil {
			return nil, fmt.Errorf("${%s}: the saga's input is not JSON", strings.Join(path, "."))
		}
		at = v
	default:
		result, ok := s.results(path[1])
		if !ok {
			return nil, fmt.Errorf("${%s}: step %q has no result", strings.Join(path, "."), path[1])
		}
		v, err := parse(result)
		if err != nil {
			return nil, fmt.Errorf("${%s}: the result of step %q is not JSON", strings.Join(path, "."), path[1])
		}
		at, rest = v, path[2:]
	}
	for _, name := range rest {
		switch v := at.(type) {
		case map[string]any:
			next, ok := v[name]
			if !ok {
				return nil, fmt.Errorf("${%s}: there is no %q", strings.Join(path, "."), name)
			}
			at = next
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return nil, fmt.Errorf("${%s}: there is no element %q", strings.Join(path, "."), name)
			}
			at = v[i]
		default:
			return nil, fmt.Errorf("${%s}: there is no %q", strings.Join(path, "."), name)
		}
	}
	return at, nil
}
