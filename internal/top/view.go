package top

import (
	"fmt"
	"strings"
	"time"
)

// View draws the screen: at most as many lines as it is high, and none wider than
// it is.
func (m *Model) View() []Line {
	if m.mode == modeHelp {
		return m.screen(m.help()[m.page:], m.foot())
	}
	lines := m.head()
	room := m.height - len(lines) - 1 // for the foot
	queues, workers := m.share(room)
	lines = append(lines, section(&m.queues, m.width, queues, m.focus == paneQueues)...)
	if len(lines)+len(m.workers.shown)+1 < m.height-1 {
		lines = append(lines, Line{})
	}
	lines = append(lines, section(&m.workers, m.width, workers, m.focus == paneWorkers)...)
	return m.screen(lines, m.foot())
}

// screen puts the foot at the bottom and cuts what is too much.
func (m *Model) screen(lines []Line, foot Line) []Line {
	if m.height == 0 {
		return nil
	}
	lines = lines[:min(len(lines), m.height-1)]
	for len(lines) < m.height-1 {
		lines = append(lines, Line{})
	}
	lines = append(lines, foot)
	for i := range lines {
		lines[i] = lines[i].clip(m.width)
	}
	return lines
}

// share divides the room between the tables, heads included: each gets what it
// needs, and where that is too much, at least half of it.
func (m *Model) share(room int) (queues, workers int) {
	queues, workers = len(m.queues.shown)+1, len(m.workers.shown)+1
	switch half := room / 2; {
	case queues+workers <= room:
		return queues, workers
	case queues <= half:
		return queues, room - queues
	case workers <= room-half:
		return room - workers, workers
	default:
		return half, room - half
	}
}

// rows is how many rows of the focused table are on the screen.
func (m *Model) rows() int {
	queues, workers := m.share(m.height - len(m.head()) - 1)
	if m.focus == paneQueues {
		return max(1, queues-1)
	}
	return max(1, workers-1)
}

// section draws a table with its head.
func section[R any](t *table[R], width, height int, focused bool) []Line {
	if height <= 0 {
		return nil
	}
	columns := t.layout(width)
	style := StyleHead
	if focused {
		style = StyleFocused
	}
	lines := []Line{t.head(columns, style)}
	return append(lines, t.body(columns, height-1, focused)...)
}

// head says which node this is, how it is, and what it does as a whole.
func (m *Model) head() []Line {
	if m.last == nil {
		return append([]Line{title(m.addr)}, m.problems()...)
	}
	n := &m.figures.Node
	first := title(strings.TrimSpace(clean(n.Name) + " " + clean(n.Version)))
	switch {
	case m.silence() > 0:
		first.add(StyleBad, "  does not answer")
	case n.Ready:
		first.add(StyleGood, "  ready")
	default:
		first.add(StyleBad, "  not ready")
	}
	first.add(StyleDim, "  up ")
	first.add(StyleText, span(m.figures.At.Sub(n.StartedAt)))
	first.add(StyleDim, "  partitions ")
	first.add(StyleText, number(int64(n.Partitions)))
	if m.paused {
		first.add(StyleNotice, "  paused")
	}
	clock := m.figures.At.Format(time.TimeOnly)
	if gap := m.width - first.width() - len(clock); gap > 1 {
		first.add(StyleText, strings.Repeat(" ", gap))
		first.add(StyleDim, clock)
	}
	return append([]Line{first, m.totals()}, m.problems()...)
}

func title(what string) (line Line) {
	line.add(StyleDim, "fenfa ")
	line.add(StyleStrong, what)
	return line
}

func (m *Model) totals() (line Line) {
	t := &m.figures.Total
	for _, pair := range [][2]string{ // what matters most first: where there is no room, the last ones go
		{"in", perSecond(t.Known, t.In) + "/s"},
		{"out", perSecond(t.Known, t.Out) + "/s"},
		{"failed", perSecond(t.Known, t.Failed) + "/s"},
		{"backlog", number(t.Backlog)},
		{"slots", fmt.Sprintf("%s/%s", number(int64(t.InFlight)), number(int64(t.Slots)))},
		{"dead", number(t.Dead)},
		{"running", number(t.Running)},
	} {
		if line.width()+2+len(pair[0])+1+len(pair[1]) > m.width && !m.unbounded && len(line.Spans) > 0 {
			break
		}
		if len(line.Spans) > 0 {
			line.add(StyleText, "  ")
		}
		line.add(StyleDim, pair[0]+" ")
		line.add(StyleStrong, pair[1])
	}
	return line
}

// problems says what is wrong, one line each, and at most three.
func (m *Model) problems() (lines []Line) {
	if silence := m.silence(); silence > 0 {
		text := fmt.Sprintf("no answer from %s for %s; trying again", m.addr, span(silence.Truncate(time.Second)))
		if m.away != nil {
			text += ": " + m.away.Error()
		}
		lines = append(lines, Line{Spans: []Span{{Text: clean(text), Style: StyleBad}}})
	}
	problems := m.figures.Node.Problems
	for i, problem := range problems {
		if len(lines) == 2 && len(problems)-i > 1 {
			problem = fmt.Sprintf("and %d more problems", len(problems)-i)
		}
		if len(lines) == 3 {
			break
		}
		lines = append(lines, Line{Spans: []Span{{Text: clean(problem), Style: StyleBad}}})
	}
	return lines
}

// foot asks, tells, or names the keys.
func (m *Model) foot() (line Line) {
	switch {
	case m.mode == modeConfirm:
		line.add(StyleWarn, fmt.Sprintf("drain worker %s? it finishes what it has and leaves; y/n", clean(m.drain)))
	case m.mode == modeFilter:
		line.add(StyleDim, "filter ")
		line.add(StyleStrong, m.filter()+"▏")
		line.add(StyleDim, "  enter keeps it, esc clears it")
	case m.mode == modeHelp:
		line.add(StyleDim, "any key goes on")
	case m.notice.Text != "":
		line.add(m.notice.Style, m.notice.Text)
	default:
		if filter := m.filter(); filter != "" {
			line.add(StyleNotice, "only "+filter)
			line.add(StyleDim, " (esc: all)  ")
		}
		for _, k := range [][2]string{
			{"q", "uit"}, {"tab", " table"}, {"s", "ort"}, {"r", "everse"}, {"/", "filter"}, {"d", "rain"}, {"Q", "uiet"}, {"p", "ause"}, {"?", " help"},
		} {
			line.add(StyleStrong, k[0])
			line.add(StyleDim, k[1]+"  ")
		}
	}
	return line
}

// help explains keys and columns.
func (m *Model) help() (lines []Line) {
	explain := func(name, text string) {
		var line Line
		line.add(StyleStrong, fit(name, 9, true))
		line.add(StyleText, text)
		lines = append(lines, line)
	}
	lines = append(lines, title("top"))
	for _, k := range keyHelp() {
		explain(k[0], k[1])
	}
	lines = append(lines, Line{}, Line{Spans: []Span{{Text: "the columns of this table, as far as they fit on the screen", Style: StyleHead}}})
	if m.focus == paneQueues {
		for _, c := range m.queues.columns {
			explain(c.title, c.about)
		}
	} else {
		for _, c := range m.workers.columns {
			explain(c.title, c.about)
		}
	}
	return lines
}
