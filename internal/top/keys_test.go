package top

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDrainAsksFirst(t *testing.T) {
	m := someModel(80, 24)
	if c := press(m, KeyTab, "j", "d"); c.Kind != CommandNone {
		t.Fatalf("d alone gives %+v", c)
	}
	if foot := lineWith(t, m, "y/n"); !strings.Contains(foot.String(), "drain worker web-2?") || styleOf(t, foot, "drain") != StyleWarn {
		t.Errorf("it asks %q", foot.String())
	}
	// While it asks the order changes and the worker leaves: the answer is about what
	// was asked.
	m.workers.sortBy(1, 80)
	s := someNode(2)
	s.Workers = slices.DeleteFunc(s.Workers, func(w Worker) bool { return w.ID == "web-2" })
	m.Update(s)
	if c := press(m, "y"); c != (Command{Kind: CommandDrain, Worker: "web-2"}) {
		t.Errorf("y gives %+v", c)
	}
	for _, no := range []Key{"n", "q", "d", KeyEnter, KeyEscape, KeyDown, "j", KeyTab, "Q"} {
		if c := press(m, "d", no); c.Kind != CommandNone || m.mode != modeLook {
			t.Errorf("%s gives %+v", no, c)
		}
		lineWith(t, m, "nothing was done")
	}
	if c := press(m, "y"); c.Kind != CommandNone {
		t.Errorf("y without a question gives %+v", c)
	}
}

func TestDrainNeedsAWorkerThatDoesNotDrain(t *testing.T) {
	m := someModel(80, 24)
	press(m, "d")
	lineWith(t, m, "tab goes to them")
	press(m, KeyTab, "j", "j", "j", "d")
	lineWith(t, m, "web-4 drains already")
	m.Update(Snapshot{At: noon.Add(time.Minute)})
	for _, k := range []Key{"d", "Q"} {
		if c := press(m, k); c.Kind != CommandNone {
			t.Errorf("%s without workers gives %+v", k, c)
		}
		lineWith(t, m, "no worker is selected")
	}
}

func TestQuietIsTurnedOnAndOff(t *testing.T) {
	m := someModel(80, 24)
	if c := press(m, "Q"); c.Kind != CommandNone {
		t.Errorf("among queues Q gives %+v", c)
	}
	if c := press(m, KeyTab, "Q"); c != (Command{Kind: CommandQuiet, Worker: "web-1"}) {
		t.Errorf("Q gives %+v", c)
	}
	if c := press(m, "G", "Q"); c != (Command{Kind: CommandResume, Worker: "工作者-六"}) {
		t.Errorf("Q for a quiet worker gives %+v", c)
	}
}

func TestWhatBecameOfACommandIsToldUntilTheNextKey(t *testing.T) {
	m := someModel(80, 24)
	for kind, want := range map[CommandKind]string{
		CommandDrain: "w was told to finish", CommandQuiet: "w gets nothing new", CommandResume: "w takes tasks again",
	} {
		m.Done(Command{Kind: kind, Worker: "w"}, nil)
		if l := lineWith(t, m, want); styleOf(t, l, want) != StyleGood {
			t.Errorf("%s is told as %q", kind, l.String())
		}
	}
	m.Done(Command{Kind: CommandDrain, Worker: "w"}, errors.New("no such\nworker"))
	if l := lineWith(t, m, "drain w: no such?worker"); styleOf(t, l, "no such") != StyleBad {
		t.Errorf("a failure is told as %q", l.String())
	}
	press(m, "j")
	lineWith(t, m, "filter")
}

func TestFilterIsTyped(t *testing.T) {
	m := someModel(80, 24)
	press(m, KeyTab, "/", "w", "é", "b", KeyBackspace, KeyBackspace, "e", "b", "-", "1")
	if m.workers.filter != "web-1" || len(m.workers.shown) != 1 {
		t.Fatalf("filter %q shows %d", m.workers.filter, len(m.workers.shown))
	}
	lineWith(t, m, "filter web-1")
	// While one types, keys are letters.
	if c := press(m, "q"); c.Kind != CommandNone || m.workers.filter != "web-1q" {
		t.Errorf("q gives %+v", c)
	}
	press(m, KeyOther, KeyPageUp, KeyBackspace, KeyEnter)
	lineWith(t, m, "only web-1")
	lineWith(t, m, "WORKER 1/6")
	if press(m, KeyEscape); m.workers.filter != "" || len(m.workers.shown) != 6 {
		t.Errorf("esc leaves %q", m.workers.filter)
	}
	if press(m, "/", "x", KeyEscape); m.workers.filter != "" || m.mode != modeLook {
		t.Errorf("esc while typing leaves %q", m.workers.filter)
	}
	press(m, "/", KeyBackspace)
	for range 100 {
		press(m, "a")
	}
	if press(m, "\x1b"); len(m.workers.filter) != longestFilter {
		t.Errorf("the filter has %d bytes", len(m.workers.filter))
	}
	if m.queues.filter != "" {
		t.Errorf("the queues are filtered by %q", m.queues.filter)
	}
	press(m, KeyEnter, KeyTab, "/", "mai")
	if len(m.queues.shown) != 1 || m.queues.shown[0].Name != "mail" {
		t.Errorf("%d queues are shown", len(m.queues.shown))
	}
}

func TestPauseHoldsNewsAndGoesOnAtOnce(t *testing.T) {
	m := someModel(100, 24)
	if c := press(m, "p"); c.Kind != CommandNone || !m.Paused() {
		t.Fatalf("p gives %+v", c)
	}
	lineWith(t, m, "paused")
	m.Tick(noon.Add(time.Hour))
	if text := screenText(m.View()); strings.Contains(text, "no answer") {
		t.Errorf("who pauses needs no answer:\n%s", text)
	}
	if c := press(m, "p"); c.Kind != CommandRefresh || m.Paused() {
		t.Errorf("p again gives %+v", c)
	}
	if text := screenText(m.View()); strings.Contains(text, "no answer") {
		t.Errorf("what was not asked has no answer:\n%s", text)
	}
}

func TestQuitAndHelp(t *testing.T) {
	m := someModel(80, 24)
	if c := press(m, "q"); c.Kind != CommandQuit {
		t.Errorf("q gives %+v", c)
	}
	if c := press(m, "/", "d", KeyInterrupt); c.Kind != CommandQuit {
		t.Errorf("Ctrl-C gives %+v", c)
	}
	m = someModel(80, 40)
	press(m, "?")
	text := screenText(m.View())
	for _, k := range keyHelp() {
		if !strings.Contains(text, k[1]) {
			t.Errorf("the help does not have %q", k[1])
		}
	}
	for _, l := range m.help() {
		if l.width() > 80 {
			t.Errorf("%q does not fit on a small screen", l.String())
		}
	}
	for _, c := range m.queues.columns {
		if c.about == "" || !strings.Contains(text, c.title) {
			t.Errorf("the help does not explain %s", c.title)
		}
	}
	if c := press(m, "q"); c.Kind != CommandNone || m.mode != modeLook {
		t.Errorf("a key in the help gives %+v", c)
	}
	m.Resize(80, 24)
	if press(m, "?", "q"); m.mode != modeHelp || !strings.Contains(screenText(m.View()), "POLICY") {
		t.Error("the help does not go on where it does not fit on one screen")
	}
	if press(m, "q"); m.mode != modeLook {
		t.Error("the help does not end")
	}
	m.Resize(80, 40)
	if press(m, KeyTab, "?"); !strings.Contains(screenText(m.View()), "LABELS") {
		t.Error("the help does not explain the columns of workers")
	}
	for _, l := range m.help() {
		if l.width() > 80 {
			t.Errorf("%q does not fit on a small screen", l.String())
		}
	}
}
