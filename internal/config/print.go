package config

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Print writes the configuration as a file that would give the same one, with
// the source of every value behind it.
func (l *Loaded) Print(w io.Writer) error {
	var b bytes.Buffer
	section := ""
	width := 0
	for _, s := range l.Settings {
		width = max(width, len(line(s.Key, s.Value)))
	}
	for _, s := range l.Settings {
		section = openSection(&b, section, s.Key)
		fmt.Fprintf(&b, "%-*s  # %s\n", width, line(s.Key, s.Value), s.Source)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Sample returns a file with every setting at its default, explained.
func Sample() []byte {
	var b bytes.Buffer
	b.WriteString("# Configuration of a fenfa node, with the defaults: delete what you do not change.\n" +
		"# `fenfa serve --config FILE` reads it. The environment wins over the file, and\n" +
		"# flags win over both; `fenfa serve --print-config` shows the result.\n" +
		"# Generated from the types in internal/config.\n")
	c := Default()
	section := ""
	for _, f := range fields(&c) {
		b.WriteByte('\n')
		section = openSection(&b, section, f.key)
		indent := strings.Repeat("  ", strings.Count(f.key, "."))
		for _, text := range wrap(f.doc, 84-len(indent)) {
			fmt.Fprintf(&b, "%s# %s\n", indent, text)
		}
		fmt.Fprintf(&b, "%s# --%s, %s\n", indent, f.flag(), f.env())
		b.WriteString(line(f.key, f.text()) + "\n")
	}
	return b.Bytes()
}

// openSection begins the section of the key unless it is open already.
func openSection(b *bytes.Buffer, open, key string) string {
	section, _, nested := strings.Cut(key, ".")
	if !nested {
		return ""
	}
	if section != open {
		b.WriteString(section + ":\n")
	}
	return section
}

// line is a setting as it stands in a file.
func line(key, value string) string {
	_, name, nested := strings.Cut(key, ".")
	if !nested {
		return key + ": " + quote(value)
	}
	return "  " + name + ": " + quote(value)
}

// quote writes a value as YAML does.
func quote(value string) string {
	if value == "" {
		return `""`
	}
	if value == "true" || value == "false" {
		return value
	}
	b, err := yaml.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%q", value)
	}
	out := strings.TrimSpace(string(b))
	// Numbers are text to the encoder and need no quotes here.
	if inner := strings.Trim(out, `"`); isNumber(inner) {
		return inner
	}
	return out
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// wrap breaks text into lines of at most width characters, between words.
func wrap(text string, width int) []string {
	var lines []string
	current := ""
	for word := range strings.FieldsSeq(text) {
		if current != "" && len(current)+1+len(word) > width {
			lines = append(lines, current)
			current = ""
		}
		if current != "" {
			current += " "
		}
		current += word
	}
	return append(lines, current)
}
