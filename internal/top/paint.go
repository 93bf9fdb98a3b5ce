package top

import (
	"github.com/gdamore/tcell/v3"
	"github.com/gdamore/tcell/v3/color"
)

// palette gives each style a look. Colours are the terminal's own first sixteen,
// which its owner can read; where there are none, what matters is bold or reversed.
type palette struct {
	colours bool
}

func (p palette) look(s Style) tcell.Style {
	plain := tcell.StyleDefault
	if !p.colours {
		switch s {
		case StyleStrong, StyleGood, StyleNotice, StyleWarn, StyleBar:
			return plain.Bold(true)
		case StyleBad, StyleFocused:
			return plain.Bold(true).Reverse(true)
		case StyleHead:
			return plain.Reverse(true)
		default:
			return plain
		}
	}
	switch s {
	case StyleDim:
		return plain.Foreground(color.Gray)
	case StyleStrong:
		return plain.Bold(true)
	case StyleHead:
		return plain.Foreground(color.Black).Background(color.Gray)
	case StyleFocused:
		return plain.Foreground(color.Black).Background(color.Teal)
	case StyleGood, StyleBar:
		return plain.Foreground(color.Green)
	case StyleNotice:
		return plain.Foreground(color.Teal)
	case StyleWarn:
		return plain.Foreground(color.Olive)
	case StyleBad:
		return plain.Foreground(color.Red).Bold(true)
	default:
		return plain
	}
}

// paint shows lines on a screen. The screen knows what it showed before, and
// writes only what changed.
func paint(screen tcell.Screen, lines []Line, p palette) {
	width, height := screen.Size()
	for y := range height {
		var line Line
		if y < len(lines) {
			line = lines[y]
		}
		fill := tcell.StyleDefault
		if line.Selected {
			fill = fill.Reverse(true)
		}
		x := 0
		for _, s := range line.Spans {
			look := p.look(s.Style)
			switch {
			case line.Selected:
				look = fill.Bold(look.HasBold())
			case s.Style == StyleHead || s.Style == StyleFocused:
				fill = look
			}
			for text := s.Text; text != "" && x < width; {
				var w int
				text, w = screen.Put(x, y, text, look)
				if w == 0 {
					break
				}
				x += w
			}
		}
		screen.FillArea(x, y, width-x, 1, ' ', fill)
	}
	screen.Show()
}

// keyOf names a key; ok is false for what is none, like a key that is let go.
func keyOf(ev *tcell.EventKey) (k Key, ok bool) {
	if !ev.Pressed() {
		return "", false
	}
	switch ev.Key() {
	case tcell.KeyRune:
		if ev.Modifiers()&^tcell.ModShift != 0 {
			return KeyOther, true
		}
		return Key(ev.Str()), true
	case tcell.KeyUp:
		return KeyUp, true
	case tcell.KeyDown:
		return KeyDown, true
	case tcell.KeyPgUp:
		return KeyPageUp, true
	case tcell.KeyPgDn:
		return KeyPageDown, true
	case tcell.KeyHome:
		return KeyHome, true
	case tcell.KeyEnd:
		return KeyEnd, true
	case tcell.KeyTab, tcell.KeyBacktab:
		return KeyTab, true
	case tcell.KeyEnter:
		return KeyEnter, true
	case tcell.KeyEscape:
		return KeyEscape, true
	case tcell.KeyBackspace, tcell.KeyDelete:
		return KeyBackspace, true
	case tcell.KeyCtrlC:
		return KeyInterrupt, true
	default:
		return KeyOther, true
	}
}
