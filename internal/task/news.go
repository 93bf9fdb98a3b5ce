package task

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxProgressText is the most bytes that the text of a progress has.
const MaxProgressText = 1 << 10

// News is what a handler says while it runs.
type News struct {
	Extend   time.Duration // how much time the attempt is to have from now on; 0: as it is
	Progress *Progress     // nil: as before
}

// Progress is how far a handler is, in its own words.
type Progress struct {
	Ratio float64 // 0 to 1
	Text  string
	At    time.Time // when the owner heard it
}

// Clip makes the progress what may be kept of it: a ratio within 0 and 1, and text of
// at most MaxProgressText bytes.
func (p Progress) Clip() Progress {
	if math.IsNaN(p.Ratio) {
		p.Ratio = 0
	}
	p.Ratio = min(max(p.Ratio, 0), 1)
	for len(p.Text) > MaxProgressText || !utf8.ValidString(p.Text) {
		p.Text = strings.ToValidUTF8(p.Text[:min(len(p.Text), MaxProgressText)], "")
	}
	return p
}
