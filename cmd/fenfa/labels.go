package main

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// labelFlag collects the labels of a worker: name=value, or a name alone, whose
// value is empty. Several of them may be joined by commas.
type labelFlag map[string]string

// Set implements pflag.Value.
func (l labelFlag) Set(text string) error {
	for label := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(label, "=")
		if name = strings.TrimSpace(name); name == "" {
			return errors.New("it names no label")
		}
		l[name] = value
	}
	return nil
}

// String implements pflag.Value.
func (l labelFlag) String() string {
	labels := make([]string, 0, len(l))
	for _, name := range slices.Sorted(maps.Keys(l)) {
		labels = append(labels, name+"="+l[name])
	}
	return strings.Join(labels, ",")
}

// Type implements pflag.Value.
func (labelFlag) Type() string { return "name=value" }
