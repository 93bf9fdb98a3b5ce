package top

import (
	"testing"

	"github.com/gdamore/tcell/v3"
	"github.com/gdamore/tcell/v3/color"
)

func TestWithoutColoursWhatMattersStandsOutAllTheSame(t *testing.T) {
	for s := StyleText; s <= StyleBar; s++ {
		look := palette{}.look(s)
		if look.GetForeground() != color.Default || look.GetBackground() != color.Default {
			t.Errorf("style %d has a colour", s)
		}
		quiet := s == StyleText || s == StyleDim
		if (look == tcell.StyleDefault) != quiet {
			t.Errorf("style %d stands out: %v, want %v", s, quiet, !quiet)
		}
	}
	if (palette{}).look(StyleBad) == (palette{}).look(StyleWarn) || (palette{}).look(StyleHead) == (palette{}).look(StyleFocused) {
		t.Error("what differs looks the same")
	}
}

func TestColoursTellStylesApart(t *testing.T) {
	seen := map[tcell.Style]Style{}
	for s := range StyleBar { // A bar looks like what is good.
		look := palette{colours: true}.look(s)
		if other, ok := seen[look]; ok {
			t.Errorf("styles %d and %d look the same", other, s)
		}
		seen[look] = s
	}
}

func TestKeysHaveTheirNames(t *testing.T) {
	for _, c := range []struct {
		key  tcell.Key
		text string
		mod  tcell.ModMask
		want Key
	}{
		{tcell.KeyRune, "q", 0, "q"},
		{tcell.KeyRune, "Q", tcell.ModShift, "Q"},
		{tcell.KeyRune, "d", tcell.ModAlt, KeyOther}, // not a drain
		{tcell.KeyRune, "y", tcell.ModCtrl, KeyOther},
		{tcell.KeyRune, "é", 0, "é"},
		{tcell.KeyUp, "", 0, KeyUp},
		{tcell.KeyDown, "", 0, KeyDown},
		{tcell.KeyPgUp, "", 0, KeyPageUp},
		{tcell.KeyPgDn, "", 0, KeyPageDown},
		{tcell.KeyHome, "", 0, KeyHome},
		{tcell.KeyEnd, "", 0, KeyEnd},
		{tcell.KeyTab, "", 0, KeyTab},
		{tcell.KeyBacktab, "", 0, KeyTab},
		{tcell.KeyEnter, "", 0, KeyEnter},
		{tcell.KeyEscape, "", 0, KeyEscape},
		{tcell.KeyBackspace, "", 0, KeyBackspace},
		{tcell.KeyDelete, "", 0, KeyBackspace},
		{tcell.KeyCtrlC, "", 0, KeyInterrupt},
		{tcell.KeyF1, "", 0, KeyOther},
	} {
		if got, ok := keyOf(tcell.NewEventKey(c.key, c.text, c.mod)); !ok || got != c.want {
			t.Errorf("%v %q is %q, want %q", c.key, c.text, got, c.want)
		}
	}
	if k, ok := keyOf(tcell.NewEventKeyEx(tcell.KeyRune, "q", 0, false, 0, 0)); ok {
		t.Errorf("letting go of a key is %q", k)
	}
}
