package top

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// manyWorkers is a node with so many workers.
func manyWorkers(n, second int) Snapshot {
	s := Snapshot{At: noon.Add(time.Duration(second) * time.Second), Node: Node{Name: "n", Ready: true, StartedAt: noon}}
	for i := range n {
		s.Workers = append(s.Workers, Worker{
			ID: fmt.Sprintf("w-%04d", i), State: []string{"active", "quiet"}[i%2], Slots: 10, InFlight: i % 11, Weight: 1,
			DoneTotal: int64(i * second), Labels: map[string]string{"zone": string(rune('a' + i%3))}, Serving: []Serving{{Queue: fmt.Sprint("q", i%7)}},
		})
	}
	return s
}

func namesShown(t *table[WorkerFigures]) (all []string) {
	for _, w := range t.shown {
		all = append(all, w.ID)
	}
	return all
}

func TestEveryColumnSortsBothWays(t *testing.T) {
	m := someModel(300, 40)
	for i, c := range m.workers.columns {
		for _, reversed := range []bool{false, true} {
			m.workers.sorted, m.workers.reversed = i, reversed
			m.workers.arrange()
			if !slices.IsSortedFunc(m.workers.shown, func(a, b *WorkerFigures) int {
				if c.down != reversed {
					return c.order(b, a)
				}
				return c.order(a, b)
			}) {
				t.Errorf("by %s, reversed %v: %v", c.title, reversed, namesShown(&m.workers))
			}
		}
	}
	for i, want := range map[int]string{
		1: "[web-2 web-5 web-4 工作者-六 web-1 web-3]", // the most urgent state first
		2: "[web-1 web-3 web-5 web-2 web-4 工作者-六]", // the highest load first
		4: "[web-1 web-2 web-3 web-4 web-5 工作者-六]", // the highest rate first, then by name
	} {
		m.workers.sorted, m.workers.reversed = i, false
		m.workers.arrange()
		if got := fmt.Sprint(namesShown(&m.workers)); got != want {
			t.Errorf("by %s: %s, want %s", m.workers.columns[i].title, got, want)
		}
	}
	for i := range m.queues.columns {
		m.queues.sorted = i
		m.queues.arrange()
	}
}

func TestSelectionStaysWithItsWorker(t *testing.T) {
	m := NewModel("")
	m.Update(manyWorkers(10, 0))
	press(m, KeyTab, "j", "j", "j")
	selected := func() string { return m.workers.current().ID }
	if selected() != "w-0003" {
		t.Fatalf("selected is %s", selected())
	}
	press(m, "r")
	if selected() != "w-0003" || m.workers.cursor != 6 {
		t.Errorf("after the order was reversed %s is selected, in place %d", selected(), m.workers.cursor)
	}
	s := manyWorkers(10, 1)
	s.Workers = slices.DeleteFunc(s.Workers, func(w Worker) bool { return w.ID == "w-0005" || w.ID == "w-0000" })
	m.Update(s)
	if selected() != "w-0003" {
		t.Errorf("after others left %s is selected", selected())
	}
	s.Workers = slices.DeleteFunc(s.Workers, func(w Worker) bool { return w.ID == "w-0003" })
	s.At = s.At.Add(time.Second)
	m.Update(s)
	if selected() != "w-0002" {
		t.Errorf("after it left %s is selected, want what is in its place", selected())
	}
	s.Workers = nil
	m.Update(s)
	if m.workers.current() != nil {
		t.Error("nothing is left to be selected")
	}
	m.Update(manyWorkers(4, 3))
	if m.workers.current() == nil {
		t.Error("nothing is selected, although there are workers again")
	}
}

func TestFilterKeepsWhatHasItSomewhere(t *testing.T) {
	for filter, want := range map[string]string{
		"":         "[web-1 web-2 web-3 web-4 web-5 工作者-六]",
		"WEB-1":    "[web-1]",
		"mail":     "[web-3 工作者-六]",
		"ejected":  "[web-2]",
		"draining": "[web-4]",
		"zone=a":   "[web-1]",
		"工作":       "[工作者-六]",
		"nobody":   "[]",
	} {
		m := someModel(80, 24)
		m.workers.setFilter(filter)
		if got := fmt.Sprint(namesShown(&m.workers)); got != want {
			t.Errorf("%q keeps %s, want %s", filter, got, want)
		}
		m.Update(someNode(2))
		if got := fmt.Sprint(namesShown(&m.workers)); got != want {
			t.Errorf("after a refresh %q keeps %s, want %s", filter, got, want)
		}
	}
	m := someModel(80, 24)
	if m.queues.setFilter("consistent"); len(m.queues.shown) != 1 || m.queues.shown[0].Name != "mail" {
		t.Errorf("%d queues have the policy", len(m.queues.shown))
	}
}

func TestColumnsFillTheWidthAndNeverMore(t *testing.T) {
	m := someModel(80, 24)
	last := 0
	for width := 1; width <= 400; width++ {
		columns := m.workers.layout(width)
		sum := len(columns) - 1
		for i, c := range columns {
			sum += c.width
			if c.width < c.min && len(columns) > 1 || c.width > max(c.min, c.max) && c.index != 0 {
				t.Errorf("in %d cells %s has %d", width, c.title, c.width)
			}
			if i > 0 && columns[i-1].index >= c.index {
				t.Errorf("in %d cells %s is in a wrong place", width, c.title)
			}
		}
		if sum > width || len(columns) == 0 || columns[0].title != "WORKER" {
			t.Fatalf("in %d cells %d columns take %d", width, len(columns), sum)
		}
		if len(columns) < last {
			t.Errorf("in %d cells there are fewer columns than in one less", width)
		}
		last = len(columns)
	}
	if last != len(m.workers.columns) {
		t.Errorf("%d of %d columns at the widest", last, len(m.workers.columns))
	}
	if columns := m.workers.layout(0); len(columns) != 0 {
		t.Errorf("%d columns in no room", len(columns))
	}
}

func TestSortingGoesRoundTheColumnsOnTheScreen(t *testing.T) {
	m := someModel(80, 24)
	var titles []string
	for _, c := range m.queues.layout(80) {
		titles = append(titles, c.title)
	}
	for i := range 2 * len(titles) {
		if at := m.queues.columns[m.queues.sorted].title; at != titles[i%len(titles)] {
			t.Fatalf("step %d sorts by %s, want %s", i, at, titles[i%len(titles)])
		}
		press(m, "s")
	}
	press(m, "S")
	if at := m.queues.columns[m.queues.sorted].title; at != titles[len(titles)-1] {
		t.Errorf("one back sorts by %s", at)
	}
	// A column that a narrower screen does not have gives way to the first.
	m.Resize(14, 24)
	if press(m, "s"); m.queues.columns[m.queues.sorted].title != "QUEUE" {
		t.Errorf("sorted by %s, which is not on the screen", m.queues.columns[m.queues.sorted].title)
	}
	m.Resize(0, 0)
	press(m, "s", "S", "r")
}

func TestHeadSaysHowItIsSorted(t *testing.T) {
	m := someModel(80, 24)
	for _, want := range []string{"QUEUE 3▲", "▼BACKLOG", "▼IN/S"} {
		if head := lineWith(t, m, "QUEUE 3").String(); !strings.Contains(head, want) {
			t.Errorf("%q does not have %s", head, want)
		}
		press(m, "s")
	}
	press(m, "S", "r")
	if head := lineWith(t, m, "QUEUE 3").String(); !strings.Contains(head, "▲IN/S") {
		t.Errorf("reversed: %q", head)
	}
}

func TestAThousandWorkersAreWalkedThrough(t *testing.T) {
	m := NewModel("")
	m.Resize(100, 30)
	m.Update(manyWorkers(1000, 0))
	m.Update(manyWorkers(1000, 1))
	press(m, KeyTab)
	visible := func() bool {
		return slices.ContainsFunc(m.View(), func(l Line) bool {
			return l.Selected && strings.HasPrefix(l.String(), m.workers.current().ID)
		})
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		press(m, []Key{"j", "k", KeyUp, KeyDown, KeyPageDown, KeyPageDown, KeyPageUp, KeyHome, KeyEnd, "g", "G", "s", "r"}[rng.IntN(13)])
		if !visible() {
			t.Fatalf("%s is selected and not on the screen:\n%s", m.workers.current().ID, screenText(m.View()))
		}
	}
	press(m, KeyHome)
	first := m.workers.current().ID
	press(m, KeyPageDown, KeyPageUp)
	if m.workers.current().ID != first {
		t.Errorf("a page down and one up lead from %s to %s", first, m.workers.current().ID)
	}
	if press(m, KeyEnd); m.workers.cursor != 999 {
		t.Errorf("the end is %d", m.workers.cursor)
	}
}

func BenchmarkRefreshOfAThousandWorkers(b *testing.B) {
	m := NewModel("")
	m.Resize(140, 40)
	for i := range b.N {
		m.Update(manyWorkers(1000, i))
		m.View()
	}
}
