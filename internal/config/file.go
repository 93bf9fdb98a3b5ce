package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fenfa/fenfa/internal/spell"
)

// assignment is a value that a file gives.
type assignment struct {
	key, value string
	line       int
}

// parseFile reads a file into assignments. Only keys that are known are taken.
func parseFile(name string, content []byte, known []string) ([]assignment, error) {
	var doc yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil // An empty file changes nothing.
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: there is a second document: put all settings into one", name)
	}
	f := fileReader{name: name, known: known, seen: map[string]bool{}}
	if err := f.mapping("", doc.Content[0]); err != nil {
		return nil, err
	}
	return f.found, nil
}

// fileReader walks a document.
type fileReader struct {
	name  string
	known []string
	seen  map[string]bool
	found []assignment
}

func (f *fileReader) errorf(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", f.name, n.Line, fmt.Errorf(format, args...))
}

// mapping reads the settings below a prefix, which is empty or ends with a dot.
func (f *fileReader) mapping(prefix string, n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil // A section with everything commented out.
	}
	if n.Kind != yaml.MappingNode {
		return f.errorf(n, "want settings, each on a line like \"key: value\"")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		key := prefix + name.Value
		switch {
		case name.Kind != yaml.ScalarNode:
			return f.errorf(name, "a key must be a word")
		case f.seen[key]:
			return f.errorf(name, "%q is set twice", key)
		case f.isSection(key):
			f.seen[key] = true
			if err := f.mapping(key+".", value); err != nil {
				return err
			}
		case !slices.Contains(f.known, key):
			return f.unknown(name, key)
		case value.Kind != yaml.ScalarNode:
			return f.errorf(value, "%q wants one value", key)
		default:
			f.seen[key] = true
			f.found = append(f.found, assignment{key: key, value: value.Value, line: value.Line})
		}
	}
	return nil
}

// isSection reports whether keys begin with this one and a dot.
func (f *fileReader) isSection(key string) bool {
	for _, k := range f.known {
		if strings.HasPrefix(k, key+".") {
			return true
		}
	}
	return false
}

func (f *fileReader) unknown(n *yaml.Node, key string) error {
	if near, ok := spell.Nearest(key, f.known); ok {
		return f.errorf(n, "there is no setting %q: did you mean %q?", key, near)
	}
	return f.errorf(n, "there is no setting %q", key)
}
