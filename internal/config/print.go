package config

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Print writes the configuration as a file that would give the same one, but for
// passwords, which it leaves out, with the source of every value behind it.
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
		margin := indent(strings.Count(f.key, "."))
		for _, text := range wrap(f.doc, 84-len(margin)) {
			fmt.Fprintf(&b, "%s# %s\n", margin, text)
		}
		fmt.Fprintf(&b, "%s# --%s, %s\n", margin, f.flag(), f.env())
		b.WriteString(line(f.key, f.text()) + "\n")
	}
	return b.Bytes()
}

// openSection begins the sections of the key that are not open already, and
// returns the open one.
func openSection(b *bytes.Buffer, open, key string) string {
	parts := strings.Split(key, ".")
	sections := parts[:len(parts)-1]
	common := true
	for depth := range sections {
		path := strings.Join(sections[:depth+1], ".")
		if common = common && (open == path || strings.HasPrefix(open, path+".")); !common {
			fmt.Fprintf(b, "%s%s:\n", indent(depth), sections[depth])
		}
	}
	return strings.Join(sections, ".")
}

// line is a setting as it stands in a file.
func line(key, value string) string {
	name := key[strings.LastIndex(key, ".")+1:]
	return indent(strings.Count(key, ".")) + name + ": " + quote(value)
}

func indent(depth int) string { return strings.Repeat("  ", depth) }

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
