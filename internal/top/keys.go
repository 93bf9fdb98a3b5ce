package top

import (
	"unicode/utf8"
)

// Key is a key that was pressed: what it types, or one of the names below.
type Key string

// Keys that type nothing.
const (
	KeyUp        Key = "<up>"
	KeyDown      Key = "<down>"
	KeyPageUp    Key = "<page-up>"
	KeyPageDown  Key = "<page-down>"
	KeyHome      Key = "<home>"
	KeyEnd       Key = "<end>"
	KeyTab       Key = "<tab>"
	KeyEnter     Key = "<enter>"
	KeyEscape    Key = "<escape>"
	KeyBackspace Key = "<backspace>"
	KeyInterrupt Key = "<interrupt>" // Ctrl-C
	KeyOther     Key = "<other>"
)

// keyHelp explains the keys.
func keyHelp() [][2]string {
	return [][2]string{
		{"↑ ↓ j k", "select; page up, page down, home, end too"},
		{"tab", "go to the other table"},
		{"s S", "sort by the next, the previous column"},
		{"r", "reverse the order"},
		{"/", "filter as one types; enter keeps it, esc clears it"},
		{"d", "drain the selected worker: it finishes what it has and leaves"},
		{"Q", "quiet the selected worker: it gets nothing new; once more ends that"},
		{"p", "pause, or go on"},
		{"?", "this help"},
		{"q", "quit"},
	}
}

// Press takes a key, and returns what the loop must do.
func (m *Model) Press(k Key) Command {
	if k == KeyInterrupt {
		return Command{Kind: CommandQuit}
	}
	m.notice = Span{}
	switch m.mode {
	case modeFilter:
		m.typed(k)
		return Command{}
	case modeConfirm:
		m.mode = modeLook
		if k == "y" || k == "Y" {
			return Command{Kind: CommandDrain, Worker: m.drain}
		}
		m.notice = Span{Text: "nothing was done", Style: StyleNotice}
		return Command{}
	case modeHelp:
		if m.page += max(1, m.height-1); m.page >= len(m.help()) {
			m.mode = modeLook
		}
		return Command{}
	case modeLook:
	}
	return m.look(k)
}

func (m *Model) look(k Key) Command {
	switch k {
	case "q":
		return Command{Kind: CommandQuit}
	case "p":
		m.paused = !m.paused
		if !m.paused {
			m.heard = m.now
			return Command{Kind: CommandRefresh}
		}
	case "?", "h":
		m.mode, m.page = modeHelp, 0
	case "/":
		m.mode = modeFilter
	case "d":
		m.askDrain()
	case "Q":
		return m.toggleQuiet()
	case KeyTab:
		m.focus = paneWorkers - m.focus
	default:
		if m.focus == paneQueues {
			walk(&m.queues, k, m.width, m.rows())
		} else {
			walk(&m.workers, k, m.width, m.rows())
		}
	}
	return Command{}
}

// walk moves in a table, or changes its order.
func walk[R any](t *table[R], k Key, width, page int) {
	switch k {
	case KeyUp, "k":
		t.point(t.cursor - 1)
	case KeyDown, "j":
		t.point(t.cursor + 1)
	case KeyPageUp:
		t.point(t.cursor - page)
	case KeyPageDown:
		t.point(t.cursor + page)
	case KeyHome, "g":
		t.point(0)
	case KeyEnd, "G":
		t.point(len(t.shown) - 1)
	case "s":
		t.sortBy(1, width)
	case "S":
		t.sortBy(-1, width)
	case "r":
		t.reversed = !t.reversed
		t.arrange()
	case KeyEscape:
		t.setFilter("")
	default: // means nothing here
	}
}

func (t *table[R]) setFilter(filter string) {
	t.filter = filter
	t.arrange()
}

// longestFilter bounds what one types, in bytes.
const longestFilter = 64

// typed takes a key while the filter is being typed.
func (m *Model) typed(k Key) {
	filter := m.filter()
	switch k {
	case KeyEnter, KeyTab, KeyUp, KeyDown:
		m.mode = modeLook
		return
	case KeyEscape:
		m.mode = modeLook
		filter = ""
	case KeyBackspace:
		_, n := utf8.DecodeLastRuneInString(filter)
		filter = filter[:len(filter)-n]
	case KeyPageUp, KeyPageDown, KeyHome, KeyEnd, KeyOther, KeyInterrupt:
		return
	default:
		if len(filter)+len(k) > longestFilter {
			return
		}
		filter += clean(string(k))
	}
	if m.focus == paneQueues {
		m.queues.setFilter(filter)
	} else {
		m.workers.setFilter(filter)
	}
}

func (m *Model) filter() string {
	if m.focus == paneQueues {
		return m.queues.filter
	}
	return m.workers.filter
}

// selectedWorker returns the worker that a command is for, and says why not where
// there is none.
func (m *Model) selectedWorker() *WorkerFigures {
	if m.focus != paneWorkers {
		m.notice = Span{Text: "that is for workers: tab goes to them", Style: StyleNotice}
		return nil
	}
	w := m.workers.current()
	if w == nil {
		m.notice = Span{Text: "no worker is selected", Style: StyleNotice}
	}
	return w
}

func (m *Model) askDrain() {
	w := m.selectedWorker()
	switch {
	case w == nil:
	case w.State == "draining":
		m.notice = Span{Text: "worker " + clean(w.ID) + " drains already", Style: StyleNotice}
	default:
		m.mode, m.drain = modeConfirm, w.ID
	}
}

func (m *Model) toggleQuiet() Command {
	w := m.selectedWorker()
	if w == nil {
		return Command{}
	}
	if w.State == "quiet" {
		return Command{Kind: CommandResume, Worker: w.ID}
	}
	return Command{Kind: CommandQuiet, Worker: w.ID}
}
