package top

import (
	"fmt"
	"time"
)

// pane is one of the two tables.
type pane uint8

const (
	paneQueues pane = iota
	paneWorkers
)

// mode says what keys mean.
type mode uint8

const (
	modeLook    mode = iota
	modeFilter       // text goes into the filter
	modeConfirm      // y or n
	modeHelp         // any key goes on, and ends it at last
)

// Model is what the person sees and chose. It does no I/O.
type Model struct {
	addr          string
	width, height int
	unbounded     bool // the width does not count

	last    *Snapshot // the latest one that was good
	figures Figures
	queues  table[QueueFigures]
	workers table[WorkerFigures]

	focus  pane
	mode   mode
	paused bool
	drain  string    // worker that modeConfirm asks about
	page   int       // first line of the help on the screen
	notice Span      // stands until the next key
	heard  time.Time // when there were news last, or when they were waited for first
	now    time.Time
	away   error // why the latest question has no answer
}

// patience is how old the news may be before the view says so.
const patience = 3 * time.Second

// NewModel returns a model of the node at an address, without any news of it yet.
func NewModel(addr string) *Model {
	return &Model{addr: addr, width: 80, height: 24, queues: newQueueTable(), workers: newWorkerTable()}
}

// Resize says how large the screen is, in cells.
func (m *Model) Resize(width, height int) { m.width, m.height = max(0, width), max(0, height) }

// Paused reports whether the person wants no news for now.
func (m *Model) Paused() bool { return m.paused }

// Tick says what time it is. News are expected from the first one on.
func (m *Model) Tick(now time.Time) {
	m.now = now
	if m.heard.IsZero() {
		m.heard = now
	}
}

// Update brings news of the node.
func (m *Model) Update(s Snapshot) {
	m.figures = Compare(m.last, &s)
	m.last, m.heard = &s, m.now
	m.away = nil
	m.queues.set(m.figures.Queues)
	m.workers.set(m.figures.Workers)
}

// Failed says that there are no news, and why.
func (m *Model) Failed(now time.Time, err error) {
	m.Tick(now)
	m.away = err
}

// silence is for how long the node has not answered, zero where nothing is wrong
// with that.
func (m *Model) silence() time.Duration {
	silence := m.now.Sub(m.heard)
	if m.away == nil && (silence < patience || m.paused) {
		return 0
	}
	return max(silence, time.Second)
}

// Done says what became of a command.
func (m *Model) Done(c Command, err error) {
	if err != nil {
		m.notice = Span{Text: clean(fmt.Sprintf("%s %s: %v", c.Kind, c.Worker, err)), Style: StyleBad}
		return
	}
	text := map[CommandKind]string{
		CommandDrain:  "worker %s was told to finish what it has and to leave",
		CommandQuiet:  "worker %s gets nothing new; Q lets it take tasks again",
		CommandResume: "worker %s takes tasks again",
	}[c.Kind]
	if text != "" {
		m.notice = Span{Text: clean(fmt.Sprintf(text, c.Worker)), Style: StyleGood}
	}
}

// CommandKind is what the loop must do after a key.
type CommandKind string

// The commands.
const (
	CommandNone    CommandKind = ""
	CommandQuit    CommandKind = "quit"
	CommandRefresh CommandKind = "refresh" // now, and not only when it is time
	CommandDrain   CommandKind = "drain"
	CommandQuiet   CommandKind = "quiet"
	CommandResume  CommandKind = "resume"
)

// Command is a CommandKind and the worker that it is about.
type Command struct {
	Kind   CommandKind
	Worker string
}
