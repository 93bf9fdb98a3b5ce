package sagafile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/spell"
)

// Read reads one definition and validates it. name is that of the file, for
// errors.
func Read(name string, content []byte) (*saga.Definition, error) {
	var doc yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: there is no definition in it", name)
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: there is a second document: put each definition into a file of its own", name)
	}
	r := &reader{name: name}
	d := r.definition(doc.Content[0])
	if r.err != nil {
		return nil, r.err
	}
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

// reader walks a document until the first error.
type reader struct {
	name string
	err  error
}

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%s:%d: %w", r.name, n.Line, fmt.Errorf(format, args...))
	}
}

// field is a key that a mapping may have.
type field struct {
	name string
	read func(n *yaml.Node)
}

// mapping reads the keys of a node; what says of what.
func (r *reader) mapping(n *yaml.Node, what string, fields []field) {
	n = target(n)
	if n.Kind != yaml.MappingNode {
		r.fail(n, "want %s, each setting on a line like \"key: value\"", what)
		return
	}
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].name
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content) && r.err == nil; i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := slices.Index(names, key.Value)
		switch {
		case at < 0:
			r.unknown(key, what, names)
		case seen[key.Value]:
			r.fail(key, "%q is set twice", key.Value)
		default:
			seen[key.Value] = true
			fields[at].read(value)
		}
	}
}

func (r *reader) unknown(key *yaml.Node, what string, names []string) {
	if near, ok := spell.Nearest(key.Value, names); ok {
		r.fail(key, "%s has no key %q: did you mean %q?", what, key.Value, near)
		return
	}
	r.fail(key, "%s has no key %q", what, key.Value)
}

// target follows an alias.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func (r *reader) definition(n *yaml.Node) *saga.Definition {
	d := &saga.Definition{}
	r.mapping(n, "a saga", []field{
		{"name", r.text(&d.Name)},
		{"deadline", r.duration(&d.Deadline)},
		{"retention", r.duration(&d.Retention)},
		{"steps", func(n *yaml.Node) {
			for _, item := range r.list(n, "steps") {
				d.Stages = append(d.Stages, r.stage(item))
			}
		}},
	})
	return d
}

// stage reads a step, or a group of steps below the key parallel.
func (r *reader) stage(n *yaml.Node) saga.Stage {
	n = target(n)
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 || n.Content[0].Value != "parallel" {
		return saga.Stage{r.step(n)}
	}
	var group saga.Stage
	for _, item := range r.list(n.Content[1], "parallel") {
		group = append(group, r.step(item))
	}
	return group
}

func (r *reader) step(n *yaml.Node) saga.Step {
	s := saga.Step{}
	r.mapping(n, "a step", []field{
		{"name", r.text(&s.Name)},
		{"queue", r.text(&s.Queue)},
		{"key", r.text(&s.Key)},
		{"type", r.text(&s.Type)},
		{"payload", r.payload(&s.Payload)},
		{"retry", r.retry(&s.Retry)},
		{"timeout", r.duration(&s.Timeout)},
		{"on_dead", func(n *yaml.Node) { r.text((*string)(&s.OnDead))(n) }},
		{"compensation", func(n *yaml.Node) { s.Compensation = r.compensation(n) }},
		{"parallel", func(n *yaml.Node) { r.fail(n, "a group stands alone in its item of steps: \"- parallel:\"") }},
	})
	return s
}

func (r *reader) compensation(n *yaml.Node) *saga.Compensation {
	c := &saga.Compensation{}
	if n.Tag == "!!null" {
		return c // everything as with the step
	}
	r.mapping(n, "a compensation", []field{
		{"queue", r.text(&c.Queue)},
		{"type", r.text(&c.Type)},
		{"payload", r.payload(&c.Payload)},
		{"retry", r.retry(&c.Retry)},
		{"timeout", r.duration(&c.Timeout)},
		{"when", func(n *yaml.Node) { r.text((*string)(&c.When))(n) }},
	})
	return c
}

func (r *reader) retry(to **saga.Retry) func(*yaml.Node) {
	return func(n *yaml.Node) {
		p := &saga.Retry{}
		r.mapping(n, "retry", []field{
			{"base", r.duration(&p.Base)},
			{"factor", func(n *yaml.Node) {
				var err error
				if p.Factor, err = strconv.ParseFloat(n.Value, 64); err != nil {
					r.fail(n, "factor is %q: want a number", n.Value)
				}
			}},
			{"max", r.duration(&p.Max)},
			{"max_attempts", func(n *yaml.Node) {
				var err error
				if p.MaxAttempts, err = strconv.Atoi(n.Value); err != nil {
					r.fail(n, "max_attempts is %q: want a whole number", n.Value)
				}
			}},
		})
		*to = p
	}
}

func (r *reader) list(n *yaml.Node, what string) []*yaml.Node {
	n = target(n)
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "%s is a list: want items that begin with \"- \"", what)
		return nil
	}
	return n.Content
}

func (r *reader) text(to *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n = target(n); n.Kind != yaml.ScalarNode {
			r.fail(n, "want one value")
			return
		}
		*to = n.Value
	}
}

func (r *reader) duration(to *saga.Duration) func(*yaml.Node) {
	return func(n *yaml.Node) {
		d, err := time.ParseDuration(target(n).Value)
		if err != nil {
			r.fail(n, "%q is not a duration: want a number and a unit, like 30s or 5m", n.Value)
			return
		}
		*to = saga.Duration(d)
	}
}

func (r *reader) payload(to *json.RawMessage) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var v any
		if err := n.Decode(&v); err != nil {
			r.fail(n, "read payload: %w", err)
			return
		}
		b, err := json.Marshal(v)
		if err != nil {
			r.fail(n, "the payload cannot be JSON: %w", err)
			return
		}
		*to = b
	}
}
