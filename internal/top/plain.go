package top

import (
	"fmt"
	"io"
	"strings"
)

// Write writes figures as plain text, with all columns and nothing cut off.
func Write(w io.Writer, f *Figures) error {
	m := NewModel("")
	m.figures, m.last = *f, &Snapshot{}
	m.queues.set(f.Queues)
	m.workers.set(f.Workers)
	m.unbounded = true
	var lines []Line
	lines = append(lines, m.head()...)
	lines = append(lines, Line{})
	lines = append(lines, whole(&m.queues)...)
	lines = append(lines, Line{})
	lines = append(lines, whole(&m.workers)...)
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(line.String())
		b.WriteByte('\n')
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return nil
}

// whole draws all of a table, each column as wide as what is in it.
func whole[R any](t *table[R]) []Line {
	t.unmarked = true
	columns := make([]placed[R], len(t.columns))
	for i := range t.columns {
		c := &t.columns[i]
		width := widthOf(c.title)
		if i == 0 {
			width += widthOf(t.count())
		}
		for _, r := range t.shown {
			// A bar fills what it is given: without room there is none.
			width = max(width, (&Line{Spans: c.cell(r, 0)}).width())
		}
		columns[i] = placed[R]{column: c, width: width, index: i}
	}
	return append([]Line{t.head(columns, StyleHead)}, t.body(columns, len(t.shown), false)...)
}
