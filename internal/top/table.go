package top

import (
	"cmp"
	"slices"
	"strings"
)

// column is one column of a table of rows R.
type column[R any] struct {
	title string
	about string // for the help
	min   int    // width in cells
	max   int    // width that it may grow to; 0: min
	rank  int    // where there is no room, columns of the highest rank go first
	left  bool   // aligned
	down  bool   // the largest first, unless reversed
	cell  func(r *R, width int) []Span
	order func(a, b *R) int
}

// plain makes a cell of one span.
func plain(style Style, text string) []Span { return []Span{{Text: text, Style: style}} }

// placed is a column with the width that it has now.
type placed[R any] struct {
	*column[R]
	width int
	index int
}

// table is a list of rows that can be sorted, filtered and walked through.
type table[R any] struct {
	columns []column[R]
	name    func(r *R) string
	matches func(r *R, filter string) bool

	rows     []R
	shown    []*R // that match, in order
	filter   string
	sorted   int // column
	reversed bool
	selected string // name of a row
	cursor   int    // where that is in shown
	top      int    // first of shown on the screen
	unmarked bool   // the head does not say how it is sorted
}

// set replaces the rows. What was selected stays so, or gives way to what is in
// its place now.
func (t *table[R]) set(rows []R) {
	t.rows = rows
	t.arrange()
}

// arrange filters and sorts.
func (t *table[R]) arrange() {
	t.shown = t.shown[:0]
	for i := range t.rows {
		if t.filter == "" || t.matches(&t.rows[i], t.filter) {
			t.shown = append(t.shown, &t.rows[i])
		}
	}
	c := &t.columns[t.sorted]
	slices.SortFunc(t.shown, func(a, b *R) int {
		order := c.order(a, b)
		if c.down != t.reversed {
			order = -order
		}
		return cmp.Or(order, strings.Compare(t.name(a), t.name(b)))
	})
	at := slices.IndexFunc(t.shown, func(r *R) bool { return t.name(r) == t.selected })
	if at < 0 {
		at = t.cursor
	}
	t.point(at)
}

// point selects the row at a place, or the nearest one.
func (t *table[R]) point(at int) {
	t.cursor = max(0, min(at, len(t.shown)-1))
	if r := t.current(); r != nil {
		t.selected = t.name(r)
	}
}

// current returns the selected row, nil where no row is shown.
func (t *table[R]) current() *R {
	if t.cursor >= len(t.shown) {
		return nil
	}
	return t.shown[t.cursor]
}

// sortBy moves the sorting to the next or the previous column of those on the
// screen.
func (t *table[R]) sortBy(step, width int) {
	columns := t.layout(width)
	if len(columns) == 0 {
		return
	}
	at := slices.IndexFunc(columns, func(p placed[R]) bool { return p.index == t.sorted })
	if at < 0 {
		at = 0
	} else {
		at = (at + step + len(columns)) % len(columns)
	}
	t.sorted, t.reversed = columns[at].index, false
	t.arrange()
}

// layout chooses the columns that fit in the width, and gives the room that is
// left to those that can use it, in equal parts.
func (t *table[R]) layout(width int) []placed[R] {
	byRank := make([]int, len(t.columns))
	for i := range byRank {
		byRank[i] = i
	}
	slices.SortStableFunc(byRank, func(a, b int) int { return cmp.Compare(t.columns[a].rank, t.columns[b].rank) })
	left := width
	var columns []placed[R]
	for _, i := range byRank {
		c := &t.columns[i]
		if left -= c.min + min(len(columns), 1); left < 0 {
			if len(columns) == 0 && width > 0 {
				return []placed[R]{{column: c, width: width, index: i}}
			}
			left += c.min + min(len(columns), 1)
			break
		}
		columns = append(columns, placed[R]{column: c, width: c.min, index: i})
	}
	for grown := true; grown && left > 0; {
		grown = false
		for i := range columns {
			if left > 0 && columns[i].width < columns[i].max {
				columns[i].width++
				left--
				grown = true
			}
		}
	}
	slices.SortFunc(columns, func(a, b placed[R]) int { return cmp.Compare(a.index, b.index) })
	return columns
}

// head writes the titles. The first one has the number of rows.
func (t *table[R]) head(columns []placed[R], style Style) Line {
	var b strings.Builder
	for i, c := range columns {
		title := c.title
		if c.index == 0 {
			title += t.count()
		}
		mark := ""
		if c.index == t.sorted && !t.unmarked {
			mark = "▲"
			if c.down != t.reversed {
				mark = "▼"
			}
		}
		switch {
		case c.left && i == 0:
			b.WriteString(fit(title+mark, c.width, true))
		case c.left: // The mark may stand in the gap before the column.
			b.WriteString(fit(cmp.Or(mark, " ")+title, c.width+1, true))
		default:
			b.WriteString(fit(mark+title, c.width+min(i, 1), false))
		}
	}
	return Line{Spans: []Span{{Text: b.String(), Style: style}}}
}

// count says how many rows there are, and how many of them are shown.
func (t *table[R]) count() string {
	all := number(int64(len(t.rows)))
	if t.filter == "" {
		return " " + all
	}
	return " " + number(int64(len(t.shown))) + "/" + all
}

// body writes as many rows as there is room for, the selected one among them.
func (t *table[R]) body(columns []placed[R], height int, focused bool) []Line {
	if height <= 0 {
		return nil
	}
	t.top = max(0, min(t.top, t.cursor, len(t.shown)-height))
	t.top = max(t.top, t.cursor-height+1)
	var lines []Line
	for i := t.top; i < min(len(t.shown), t.top+height); i++ {
		line := t.row(columns, t.shown[i])
		line.Selected = focused && i == t.cursor
		lines = append(lines, line)
	}
	return lines
}

func (t *table[R]) row(columns []placed[R], r *R) (line Line) {
	for i, c := range columns {
		if i > 0 {
			line.add(StyleText, " ")
		}
		cell := Line{Spans: c.cell(r, c.width)}.clip(c.width)
		pad := strings.Repeat(" ", c.width-cell.width())
		if !c.left {
			line.add(StyleText, pad)
		}
		line.Spans = append(line.Spans, cell.Spans...)
		if c.left {
			line.add(StyleText, pad)
		}
	}
	return line
}
