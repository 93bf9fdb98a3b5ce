package top

import (
	"strings"
	"unicode"

	"github.com/clipperhouse/displaywidth"
)

const ellipsis = "…"

// widthOf is how many cells a text takes. Terminals draw what belongs together as
// one: a letter with its accents, an emoji of several code points.
func widthOf(text string) int { return displaywidth.String(text) }

// truncate cuts a text to a width, and shows that by an ellipsis.
func truncate(text string, width int) string {
	if width <= 0 {
		return ""
	}
	return displaywidth.TruncateString(text, width, ellipsis)
}

// fit makes a text exactly so wide.
func fit(text string, width int, left bool) string {
	text = truncate(text, width)
	pad := strings.Repeat(" ", max(0, width-widthOf(text)))
	if left {
		return text + pad
	}
	return pad + text
}

// clean makes a text that others chose harmless: nothing of it moves the cursor,
// turns the direction of writing, is invisible, or joins what stands before it.
func clean(text string) string {
	first := true
	return strings.Map(func(r rune) rune {
		joins := r == zeroWidthJoiner || unicode.IsMark(r)
		if r == unicode.ReplacementChar || first && joins || !joins && !unicode.IsPrint(r) {
			r = '?'
		}
		first = false
		return r
	}, text)
}

// zeroWidthJoiner holds an emoji of several parts together.
const zeroWidthJoiner = '\u200d'
