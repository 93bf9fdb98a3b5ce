package top

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestScreensLookAsTheyDid(t *testing.T) {
	for name, c := range map[string]struct {
		width, height int
		change        func(m *Model)
	}{
		"80x24":          {80, 24, func(m *Model) { press(m, KeyTab, "j") }},
		"140x40":         {140, 40, func(*Model) {}},
		"220x50":         {220, 50, func(m *Model) { press(m, "s", "s") }},
		"80x24-crowded":  {80, 24, func(m *Model) { m.Update(manyWorkers(1000, 2)); press(m, KeyTab, KeyPageDown, "j") }},
		"80x24-filter":   {80, 24, func(m *Model) { press(m, KeyTab, "/", "w", "e", "b") }},
		"80x24-question": {80, 24, func(m *Model) { press(m, KeyTab, "d") }},
		"80x24-help":     {80, 24, func(m *Model) { press(m, "?") }},
		"80x24-help-2":   {80, 24, func(m *Model) { press(m, "?", "x") }},
		"80x24-away":     {80, 24, func(m *Model) { m.Failed(noon.Add(13*time.Second), errors.New("list queues: connection refused")) }},
		"80x24-problems": {80, 24, func(m *Model) {
			s := someNode(2)
			s.Node.Ready, s.Node.Problems = false, []string{"partition 3 is not claimed", "the disk is full", "no quorum", "and more"}
			m.Update(s)
		}},
		"80x24-empty": {80, 24, func(m *Model) {
			m.Update(Snapshot{At: noon.Add(time.Hour), Node: Node{Name: "node-1", Ready: true, StartedAt: noon}})
		}},
		"40x12": {40, 12, func(*Model) {}},
	} {
		t.Run(name, func(t *testing.T) {
			m := someModel(c.width, c.height)
			c.change(m)
			golden(t, "screen-"+name+".txt", screenText(m.View()))
		})
	}
}

func TestPlainTextHasEverything(t *testing.T) {
	before, now := someNode(0), someNode(1)
	f := Compare(&before, &now)
	var b bytes.Buffer
	if err := Write(&b, &f); err != nil {
		t.Fatal(err)
	}
	golden(t, "plain.txt", b.String())
	empty := Compare(nil, &Snapshot{At: noon, Node: Node{Name: "n", StartedAt: noon}})
	b.Reset()
	if err := Write(&b, &empty); err != nil || !strings.Contains(b.String(), "WORKER 0") {
		t.Errorf("of nothing it writes %q, %v", b.String(), err)
	}
	if err := Write(failing{}, &f); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("writing to a full disk fails with %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestEveryScreenHoldsItsSize(t *testing.T) {
	modes := map[string][]Key{"look": nil, "workers": {KeyTab}, "filter": {"/", "w"}, "confirm": {KeyTab, "d"}, "help": {"?"}}
	for name, keys := range modes {
		for _, width := range []int{0, 1, 2, 5, 11, 12, 13, 20, 37, 79, 80, 81, 120, 200, 500} {
			for height := range 45 {
				m := someModel(80, 24)
				press(m, keys...)
				s := someNode(2)
				s.Node.Ready, s.Node.Problems = false, []string{"工作者工作者工作者工作者工作者工作者", "b", "c", "d"}
				m.Update(s)
				m.Failed(noon.Add(time.Minute), errors.New("gone"))
				m.Resize(width, height)
				lines := m.View()
				if len(lines) != height {
					t.Fatalf("%s, %dx%d: %d lines", name, width, height, len(lines))
				}
				for _, l := range lines {
					if l.width() > width {
						t.Fatalf("%s, %dx%d: %q takes %d cells", name, width, height, l.String(), l.width())
					}
				}
			}
		}
	}
}

func TestWhatNeedsSomebodyStandsOut(t *testing.T) {
	m := someModel(220, 40)
	for text, c := range map[string]struct {
		part  string
		style Style
	}{
		"web-1": {"active", StyleGood}, "web-2": {"ejected", StyleBad}, "web-3": {"orders (70s, flapping)", StyleBad},
		"web-4": {"draining", StyleNotice}, "web-5": {"suspect", StyleWarn}, "六": {"quiet", StyleNotice},
	} {
		if got := styleOf(t, lineWith(t, m, text), c.part); got != c.style {
			t.Errorf("%s of %s has style %d, want %d", c.part, text, got, c.style)
		}
	}
	if got := styleOf(t, lineWith(t, m, "web-5"), "2.1s"); got != StyleWarn {
		t.Errorf("a late heartbeat has style %d", got)
	}
	if got := styleOf(t, lineWith(t, m, "web-1"), "120ms"); got != StyleDim {
		t.Errorf("a good heartbeat has style %d", got)
	}
	if got := styleOf(t, lineWith(t, m, "web-2"), "0.31/2"); got != StyleNotice {
		t.Errorf("a weight that counts for less has style %d", got)
	}
	if got := styleOf(t, lineWith(t, m, "192    12     7"), "7"); got != StyleBad {
		t.Errorf("dead letters have style %d", got)
	}
	if got := styleOf(t, lineWith(t, m, "node-1"), "ready"); got != StyleGood {
		t.Errorf("ready has style %d", got)
	}
	s := someNode(2)
	s.Node.Ready = false
	m.Update(s)
	if got := styleOf(t, lineWith(t, m, "node-1"), "not ready"); got != StyleBad {
		t.Errorf("not ready has style %d", got)
	}
}

func TestOneRowIsSelectedInTheTableThatHasTheKeys(t *testing.T) {
	m := someModel(80, 24)
	for _, want := range []string{"a-queue", "web-1", "a-queue"} {
		var selected []string
		for _, l := range m.View() {
			if l.Selected {
				selected = append(selected, l.String())
			}
		}
		if len(selected) != 1 || !strings.HasPrefix(selected[0], want) {
			t.Errorf("selected are %q, want %s", selected, want)
		}
		press(m, KeyTab)
	}
}

func TestSilenceIsToldAndEndsWithAnAnswer(t *testing.T) {
	m := NewModel("127.0.0.1:7400")
	m.Tick(noon)
	if text := screenText(m.View()); strings.Contains(text, "no answer") {
		t.Errorf("before anything could come:\n%s", text)
	}
	m.Tick(noon.Add(patience))
	lineWith(t, m, "no answer from 127.0.0.1:7400 for 3s")
	m.Failed(noon.Add(4*time.Second), errors.New("refused\x1b[2J"))
	if l := lineWith(t, m, "for 4s; trying again: refused?[2J"); styleOf(t, l, "refused") != StyleBad {
		t.Errorf("a failure is told as %q", l.String())
	}
	m.Tick(noon.Add(5 * time.Second))
	m.Update(someNode(5))
	if text := screenText(m.View()); strings.Contains(text, "no answer") || !strings.Contains(text, "ready") {
		t.Errorf("after an answer:\n%s", text)
	}
	m.Failed(noon.Add(6*time.Second), errors.New("refused"))
	lineWith(t, m, "does not answer")
	lineWith(t, m, "192    12     7") // what was known stays
}

func TestRoomIsSharedFairly(t *testing.T) {
	for _, c := range []struct{ queues, workers, height, wantQueues, wantWorkers int }{
		{2, 3, 24, 2, 3}, {100, 3, 24, 16, 3}, {3, 100, 24, 3, 16}, {100, 100, 24, 9, 10}, {100, 100, 7, 1, 1}, {0, 0, 24, 0, 0},
	} {
		m := NewModel("")
		m.Resize(80, c.height)
		s := manyWorkers(c.workers, 0)
		for i := range c.queues {
			s.Queues = append(s.Queues, Queue{Name: fmt.Sprintf("queue-%03d", i)})
		}
		m.Update(s)
		text := screenText(m.View())
		if q, w := strings.Count(text, "queue-"), strings.Count(text, "w-0"); q != c.wantQueues || w != c.wantWorkers {
			t.Errorf("%d queues and %d workers in %d lines: %d and %d are shown, want %d and %d", c.queues, c.workers, c.height, q, w, c.wantQueues, c.wantWorkers)
		}
	}
}
