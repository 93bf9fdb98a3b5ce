package top

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// someNode is a node with a bit of everything, n seconds after noon.
func someNode(n int) Snapshot {
	s := int64(n)
	at := noon.Add(time.Duration(n) * time.Second)
	return Snapshot{
		At:   at,
		Node: Node{Name: "node-1", Version: "v0.3.0", Ready: true, StartedAt: noon.Add(-27 * time.Hour), Partitions: 16},
		Queues: []Queue{
			{
				Name: "orders", Policy: "least_inflight", Backlog: 1_234_567 + 100*s, Oldest: at.Add(-93 * time.Second), Running: 192, Scheduled: 12,
				DoneTotal: 5_000_000 + 12_345*s, FailedTotal: 20 + 3*s, DeadTotal: 7, Dead: 7, Blocked: 2, Workers: 3,
				StartP50: 1200 * time.Microsecond, StartP99: 48 * time.Millisecond,
			},
			{
				Name: "mail", Policy: "consistent_hash", Backlog: 17, Oldest: at.Add(-210 * time.Millisecond), Running: 17,
				DoneTotal: 900 + 4*s, Workers: 1, StartP50: 90 * time.Microsecond, StartP99: 310 * time.Microsecond, Parked: 3, Halted: 1,
			},
			{Name: "a-queue-with-a-very-long-name-that-does-not-fit-into-any-column", Policy: "p2c"},
		},
		Workers: []Worker{
			{
				ID: "web-1", State: "active", Slots: 64, InFlight: 64, Weight: 1, EffectiveWeight: 1, ConnectedAt: noon.Add(-time.Hour),
				HeartbeatAge: 120 * time.Millisecond, DoneTotal: 100 * s, Labels: map[string]string{"zone": "a", "gpu": "yes"},
				Serving: []Serving{{Queue: "orders", InFlight: 64, Latency: 5200 * time.Microsecond}},
			},
			{
				ID: "web-2", State: "active", Slots: 64, InFlight: 9, Weight: 2, EffectiveWeight: 0.31, ConnectedAt: noon.Add(-time.Minute),
				HeartbeatAge: 80 * time.Millisecond, DoneTotal: 40 * s, FailedTotal: 5 * s,
				Serving: []Serving{
					{Queue: "orders", InFlight: 9, Latency: 31 * time.Millisecond, EjectedUntil: at.Add(12 * time.Second), EjectedFor: "failures"},
				},
			},
			{
				ID: "web-3", State: "active", Slots: 8, InFlight: 3, Weight: 0.5, EffectiveWeight: 0.5, ConnectedAt: noon.Add(-time.Minute),
				HeartbeatAge: 250 * time.Millisecond, DoneTotal: s,
				Serving: []Serving{
					{Queue: "mail", InFlight: 3, Latency: 2 * time.Second},
					{Queue: "orders", EjectedUntil: at.Add(70 * time.Second), EjectedFor: "flapping"},
				},
			},
			{ID: "web-4", State: "draining", Slots: 64, InFlight: 1, Weight: 1, HeartbeatAge: 90 * time.Millisecond, Serving: []Serving{{Queue: "orders", InFlight: 1}}},
			{ID: "web-5", State: "suspect", Slots: 64, InFlight: 22, Weight: 1, HeartbeatAge: 2100 * time.Millisecond, Serving: []Serving{{Queue: "orders", InFlight: 22}}},
			{ID: "工作者-六", State: "quiet", Slots: 4, Weight: 1, HeartbeatAge: 30 * time.Millisecond, Serving: []Serving{{Queue: "mail"}}},
		},
	}
}

// someModel has seen the node twice.
func someModel(width, height int) *Model {
	m := NewModel("127.0.0.1:7400")
	m.Resize(width, height)
	m.Tick(noon)
	m.Update(someNode(0))
	m.Tick(noon.Add(time.Second))
	m.Update(someNode(1))
	return m
}

// press presses keys, and returns the last command.
func press(m *Model, keys ...Key) (c Command) {
	for _, k := range keys {
		c = m.Press(k)
	}
	return c
}

func screenText(lines []Line) string {
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintln(&b, l.String())
	}
	return b.String()
}

// golden compares a text with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it); got:\n%s\nwant:\n%s", name, got, want)
	}
}

// lineWith returns the only line that has a text.
func lineWith(t *testing.T, m *Model, text string) Line {
	t.Helper()
	var found []Line
	for _, l := range m.View() {
		if strings.Contains(l.String(), text) {
			found = append(found, l)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d lines have %q:\n%s", len(found), text, screenText(m.View()))
	}
	return found[0]
}

// styleOf returns the style of the text in the line.
func styleOf(t *testing.T, l Line, text string) Style {
	t.Helper()
	for _, s := range l.Spans {
		if strings.Contains(s.Text, text) {
			return s.Style
		}
	}
	t.Fatalf("%q is not in one piece of %q", text, l.String())
	return 0
}
