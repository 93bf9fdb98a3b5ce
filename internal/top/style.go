package top

import "strings"

// Style says what a piece of text means; the terminal decides how that looks.
type Style uint8

// The styles, from text that means nothing special to what needs somebody.
const (
	StyleText    Style = iota
	StyleDim           // of no interest now, or explains something
	StyleStrong        // the value that one looks for
	StyleHead          // the head of a table
	StyleFocused       // the head of the table that keys go to
	StyleGood
	StyleNotice // on purpose, and not for ever
	StyleWarn
	StyleBad
	StyleBar // the full part of a load bar
)

// Span is text in one style. It has no control characters.
type Span struct {
	Text  string
	Style Style
}

// Line is one line of the screen. It is never wider than the terminal, and may be
// narrower.
type Line struct {
	Spans    []Span
	Selected bool
}

// String returns the line's text without trailing spaces.
func (l Line) String() string {
	var b strings.Builder
	for _, s := range l.Spans {
		b.WriteString(s.Text)
	}
	return strings.TrimRight(b.String(), " ")
}

func (l *Line) add(style Style, text string) {
	if text != "" {
		l.Spans = append(l.Spans, Span{Text: text, Style: style})
	}
}

func (l *Line) width() (w int) {
	for _, s := range l.Spans {
		w += widthOf(s.Text)
	}
	return w
}

// clip cuts the line to a width.
func (l Line) clip(width int) Line {
	left := width
	for i, s := range l.Spans {
		w := widthOf(s.Text)
		if w <= left {
			left -= w
			continue
		}
		l.Spans = append(l.Spans[:i:i], Span{Text: truncate(s.Text, left), Style: s.Style})
		break
	}
	return l
}
