package cron

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// year is a schedule that lives through a year: looked at in irregular steps, begun
// anew from what it stored at random moments, and now and then not looked at for long.
type year struct {
	t     *testing.T
	rng   *rand.Rand
	s     *Schedule
	now   time.Time
	runs  map[task.ID]time.Time // open tasks, by when they end
	fired map[time.Time]bool    // ticks that got a task
	looks []time.Time           // moments of Due
	took  time.Duration         // that a task takes at most
}

func newYear(t *testing.T, seed uint64, d Definition) *year {
	t.Helper()
	if err := d.Normalize(); err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return &year{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), s: New(begin, seed+1, d), now: begin,
		runs: map[task.ID]time.Time{}, fired: map[time.Time]bool{},
	}
}

// submit takes the tasks that the schedule made.
func (y *year) submit(tasks []task.Task) {
	for i := range tasks {
		ref, ok := RefOf(&tasks[i])
		if _, twice := y.runs[tasks[i].ID]; twice || !ok || y.fired[ref.Tick] {
			y.t.Fatalf("tick %v has two tasks (ref %t)", ref.Tick, ok)
		}
		y.fired[ref.Tick] = true
		y.runs[tasks[i].ID] = y.now.Add(time.Duration(y.rng.Int64N(int64(y.took) + 1)))
	}
}

// restart drops everything in memory.
func (y *year) restart() {
	definition, err := y.s.Definition.Encode()
	if err != nil {
		y.t.Fatal(err)
	}
	state, err := y.s.Encode()
	if err != nil {
		y.t.Fatal(err)
	}
	if y.s, err = Decode(definition, state); err != nil {
		y.t.Fatal(err)
	}
}

// look lets the schedule take what is due. Sometimes the owner dies with it, before
// or after that was stored; then the next one does the same again.
func (y *year) look() {
	before := y.s.Clone()
	tasks, changed := y.s.Due(y.now)
	if changed && y.rng.IntN(10) == 0 { // nothing was stored
		y.s = before
		y.restart()
		y.now = y.now.Add(time.Duration(y.rng.IntN(5000)) * time.Millisecond)
		tasks, changed = y.s.Due(y.now)
	}
	if changed {
		y.looks = append(y.looks, y.now)
	}
	y.submit(tasks)
}

func (y *year) end() {
	for id, at := range y.runs {
		if at.After(y.now) {
			continue
		}
		delete(y.runs, id)
		end := &Ending{Birth: y.s.Birth, TaskID: id, State: task.StateDone}
		tasks, _ := y.s.Ended(y.now, end)
		y.submit(tasks)
		if again, changed := y.s.Ended(y.now, end); changed || len(again) > 0 {
			y.t.Fatal("the end of a task was taken twice")
		}
	}
}

func (y *year) live(until time.Time, outage time.Duration) {
	for y.now.Before(until) {
		next := y.s.Next
		for _, at := range y.runs {
			if at.Before(next) {
				next = at
			}
		}
		y.now = next.Add(time.Duration(y.rng.IntN(300)) * time.Millisecond)
		switch {
		case outage > 0 && y.rng.IntN(40) == 0:
			y.now = y.now.Add(time.Duration(y.rng.Int64N(int64(outage))))
			y.restart()
		case y.rng.IntN(10) == 0:
			y.restart()
		}
		y.end()
		y.look()
	}
}

// ticks are all of the definition, in the year so far.
func (y *year) ticks(begin time.Time) []time.Time {
	spec, zone, err := y.s.Definition.when()
	if err != nil {
		y.t.Fatal(err)
	}
	var ticks []time.Time
	for at := spec.Next(begin, begin, zone); !at.After(y.now); at = spec.Next(at, begin, zone) {
		ticks = append(ticks, at)
	}
	return ticks
}

func TestAYearWithoutOutagesFiresEachTickOnce(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, d := range []Definition{
		{Spec: "30 2 * * *", Zone: "Europe/Berlin"},
		{Spec: "0 * * * *", Zone: "America/New_York"},
		{Spec: "*/30 1-2 * * *", Zone: "Australia/Lord_Howe"},
		{Spec: "15 10 0 * * mon-fri", Zone: "America/Santiago"},
		{Spec: "@every 7h", Zone: "Europe/London"},
		{Spec: "@daily", Zone: "Pacific/Auckland", Missed: MissedSkip},
	} {
		t.Run(d.Spec+" "+d.Zone, func(t *testing.T) {
			d.Name, d.Queue, d.Overlap = "s", "q", OverlapAllow
			y := newYear(t, uint64(i), d)
			y.live(begin.AddDate(1, 0, 0), 0)
			want := y.ticks(begin)
			for _, tick := range want {
				if !y.fired[tick] {
					t.Errorf("tick %v has no task", tick)
				}
			}
			if len(y.fired) != len(want) || y.s.Counts != (Counts{Fired: uint64(len(want))}) {
				t.Errorf("%d tasks for %d ticks, counts %+v", len(y.fired), len(want), y.s.Counts)
			}
		})
	}
}

func TestAYearWithOutagesFollowsThePolicy(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for seed := range uint64(2) {
		for _, missed := range []Missed{MissedRunOnce, MissedSkip} {
			t.Run(fmt.Sprint(missed, " ", seed), func(t *testing.T) {
				y := newYear(t, seed, Definition{Name: "s", Queue: "q", Spec: "*/20 * * * *", Zone: "Europe/Berlin", Overlap: OverlapAllow, Missed: missed})
				y.live(begin.AddDate(0, 2, 0), 6*time.Hour)
				fired := 0
				ticks, looks := y.ticks(begin), y.looks
				for i, tick := range ticks {
					for len(looks) > 0 && looks[0].Before(tick) {
						looks = looks[1:]
					}
					at := looks[0] // when the tick was taken, with those before it
					last := i+1 == len(ticks) || ticks[i+1].After(at)
					want := last && (missed == MissedRunOnce || at.Sub(tick) <= Grace)
					if y.fired[tick] != want {
						t.Fatalf("tick %v, taken at %v, has a task: %t", tick, at, y.fired[tick])
					}
					if want {
						fired++
					}
				}
				c := y.s.Counts
				if fired == len(ticks) || c.Fired != uint64(fired) || c.Missed != uint64(len(ticks)-fired) || c.Skipped != 0 {
					t.Errorf("%d of %d ticks have tasks, counts %+v", fired, len(ticks), c)
				}
			})
		}
	}
}

func TestOverlaps(t *testing.T) {
	begin := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, overlap := range []Overlap{OverlapSkip, OverlapQueue, OverlapAllow} {
		t.Run(string(overlap), func(t *testing.T) {
			y := newYear(t, 7, Definition{Name: "s", Queue: "q", Spec: "*/10 * * * *", Overlap: overlap})
			y.now, y.s = begin, New(begin, 1, y.s.Definition)
			y.took = 25 * time.Minute
			for y.now.Before(begin.AddDate(0, 0, 9)) {
				y.live(y.now.Add(time.Minute), 0)
				if open := y.s.open(); overlap != OverlapAllow && open > 1 || open != len(y.runs) {
					t.Fatalf("%d tasks are open, the schedule says %d", len(y.runs), open)
				}
			}
			n, c := uint64(len(y.ticks(begin))), y.s.Counts
			switch overlap {
			case OverlapSkip:
				if c.Skipped == 0 || c.Fired+c.Skipped != n {
					t.Errorf("%d ticks, counts %+v", n, c)
				}
			case OverlapAllow:
				if c.Fired != n || c.Skipped != 0 {
					t.Errorf("%d ticks, counts %+v", n, c)
				}
			case OverlapQueue:
				if c.Fired+c.Skipped+uint64(len(y.s.Queued)) != n || len(y.s.Queued) > MaxQueued || c.Fired == 0 {
					t.Errorf("%d ticks, counts %+v, %d queued", n, c, len(y.s.Queued))
				}
			}
			if len(y.s.Runs) > KeptRuns+MaxOpen {
				t.Errorf("%d runs are kept", len(y.s.Runs))
			}
		})
	}
}

func TestOperations(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 30, 0, time.UTC)
	d := Definition{Name: "s", Queue: "q", Spec: "* * * * *", Headers: map[string]string{"z": "1", "a": "2"}}
	if err := d.Normalize(); err != nil {
		t.Fatal(err)
	}
	s := New(now, 1, d)
	if _, changed := s.Operate(now, &Operation{Do: DoPause}); !changed || !s.Next.IsZero() {
		t.Errorf("paused: next %v", s.Next)
	}
	if tasks, changed := s.Due(now.Add(time.Hour)); changed || tasks != nil {
		t.Error("a paused schedule ticks")
	}
	if _, changed := s.Operate(now, &Operation{Do: DoPause}); changed {
		t.Error("a pause of what is paused has an effect")
	}
	now = now.Add(time.Hour)
	s.Operate(now, &Operation{Do: DoResume})
	if !s.Next.Equal(now.Add(30*time.Second)) || s.Counts != (Counts{}) {
		t.Errorf("resumed: next %v, counts %+v", s.Next, s.Counts)
	}
	tasks, _ := s.Operate(now, &Operation{Do: DoRun})
	if len(tasks) != 1 || len(tasks[0].Headers) != 3 || tasks[0].Headers[0].Name != "a" || !s.Next.Equal(now.Add(30*time.Second)) {
		t.Fatalf("run: %+v, next %v", tasks, s.Next)
	}
	if tasks, changed := s.Due(s.Next); !changed || len(tasks) != 0 || s.Counts.Skipped != 1 {
		t.Error("the run counts as one that has not ended")
	}
	other := d
	other.Spec = "0 5 * * *"
	s.Operate(now.Add(time.Minute), &Operation{Do: DoUpdate, Definition: &other})
	if s.Next.Hour() != 5 || s.Definition.Spec != other.Spec {
		t.Errorf("updated: next %v", s.Next)
	}
	if _, changed := s.Operate(now, &Operation{Do: DoUpdate, Definition: &other}); changed {
		t.Error("an update with the same has an effect")
	}
	if late, _ := s.Operate(now.Add(-time.Hour), &Operation{Do: DoUpdate, Definition: &d}); late != nil || !s.Next.After(s.Last) {
		t.Errorf("a clock that went back brings tick %v back, the last was %v", s.Next, s.Last)
	}
}

func TestDefinitionsAreRefusedByField(t *testing.T) {
	for field, change := range map[string]func(*Definition){
		"name":    func(d *Definition) { d.Name = "a b" },
		"spec":    func(d *Definition) { d.Spec = "x" },
		"zone":    func(d *Definition) { d.Zone = "Mars/Olympus" },
		"queue":   func(d *Definition) { d.Queue = "" },
		"overlap": func(d *Definition) { d.Overlap = "maybe" },
		"missed":  func(d *Definition) { d.Missed = "all" },
		"header":  func(d *Definition) { d.Headers = map[string]string{Header: "x"} },
		"payload": func(d *Definition) { d.Payload = make([]byte, task.MaxPayload+1) },
	} {
		t.Run(field, func(t *testing.T) {
			d := Definition{Name: "s", Queue: "q", Spec: "* * * * *"}
			if err := d.Normalize(); err != nil || d.Zone != "UTC" || d.Overlap != OverlapSkip || d.Missed != MissedRunOnce {
				t.Fatalf("%+v: %v", d, err)
			}
			change(&d)
			err := d.Normalize()
			if refusal, ok := errors.AsType[*task.Error](err); !ok || refusal.Field != field {
				t.Errorf("got %v, want one about %s", err, field)
			}
		})
	}
}

func TestMessagesTellHowATaskEnded(t *testing.T) {
	s := New(time.Unix(1000, 0), 42, Definition{Name: "s", Queue: "q", Spec: "* * * * *"})
	tasks, _ := s.Operate(time.Unix(2000, 5), &Operation{Do: DoRun})
	m, ok := MessageOf(&tasks[0], task.StateDead, strings.Repeat("x", 1000))
	if !ok || m.Queue != Queue || m.Key != KeyOf("s") || NameOf(m.Key) != "s" {
		t.Fatalf("message %+v", m)
	}
	end, err := Read(&m)
	if err != nil || end.Birth != 42 || end.TaskID != tasks[0].ID || end.State != task.StateDead || len(end.Error) != maxError {
		t.Errorf("%+v: %v", end, err)
	}
	if _, ok := MessageOf(&task.Task{Headers: []task.Header{{Name: Header, Value: "?"}}}, task.StateDone, ""); ok {
		t.Error("a header that cannot be read has a message")
	}
	for _, bad := range []string{"", "a b c", "2026-01-01T00:00:00Z !! s", "2026-01-01T00:00:00Z 1"} {
		if _, ok := RefOf(&task.Task{Headers: []task.Header{{Name: Header, Value: bad}}}); ok {
			t.Errorf("header %q was read", bad)
		}
	}
	if ref, ok := RefOf(&tasks[0]); !ok || ref.Name != "s" || ref.Birth != 42 || !ref.Tick.Equal(time.Unix(2000, 5)) {
		t.Errorf("header %+v", ref)
	}
	for _, bad := range []task.Task{{Type: "other"}, {Type: messageEnded, Payload: []byte{1}}} {
		if _, err := Read(&bad); err == nil {
			t.Errorf("message %+v was read", bad)
		}
	}
}

func TestRunsByHandAtOneMomentAreDifferentTasks(t *testing.T) {
	y := newYear(t, 1, Definition{Name: "s", Queue: "q", Spec: "@yearly", Overlap: OverlapAllow})
	ids := map[task.ID]bool{}
	var last time.Time
	for i := range 3 * MaxOpen {
		if i%MaxOpen == MaxOpen-1 {
			y.restart()
			y.now = y.now.Add(-time.Hour) // another node's clock is behind
		}
		tasks, changed := y.s.Operate(y.now, &Operation{Do: DoRun})
		run := y.s.Runs[len(y.s.Runs)-1]
		if !changed || len(tasks) != 1 || ids[tasks[0].ID] || !run.Tick.After(last) || run.TaskID != tasks[0].ID {
			t.Fatalf("run %d is %+v, the one before was at %v", i, run, last)
		}
		last, ids[run.TaskID] = run.Tick, true
	}
	for id := range ids {
		y.s.Ended(y.now, &Ending{Birth: y.s.Birth, TaskID: id, State: task.StateDone})
	}
	if n := y.s.open(); n != 0 {
		t.Errorf("%d runs are open though all of their tasks have ended", n)
	}
}

func TestAnEndIsThatOfAllRunsOfATask(t *testing.T) {
	y := newYear(t, 1, Definition{Name: "s", Queue: "q", Spec: "* * * * *"})
	y.s.Operate(y.now, &Operation{Do: DoRun})
	y.s.Runs = append(y.s.Runs, y.s.Runs[0]) // as earlier versions stored them
	end := Ending{Birth: y.s.Birth, TaskID: y.s.Runs[0].TaskID, State: task.StateDone}
	if _, changed := y.s.Ended(y.now, &end); !changed || y.s.open() != 0 {
		t.Errorf("%d runs are open", y.s.open())
	}
	if _, changed := y.s.Ended(y.now, &end); changed {
		t.Error("it ended twice")
	}
}

// A schedule comes to a node whose time zone database is too old for it, and back.
func TestAZoneThatIsNotKnownStopsAScheduleUntilItIs(t *testing.T) {
	for name, tc := range map[string]struct {
		missed  Missed
		before  func(*year) // while the zone is not known
		fired   uint64
		counted uint64
	}{
		"run once": {MissedRunOnce, func(*year) {}, 1, 9},
		"skip":     {MissedSkip, func(*year) {}, 0, 10},
		"a run by hand meanwhile": {MissedSkip, func(y *year) {
			y.s.Operate(y.now, &Operation{Do: DoRun})
		}, 1, 10},
		"paused and resumed": {MissedRunOnce, func(y *year) {
			y.s.Operate(y.now, &Operation{Do: DoPause})
			if !y.s.Wakes().IsZero() {
				y.t.Errorf("it is paused, and wakes at %v", y.s.Wakes())
			}
			y.now = y.now.Add(5 * time.Minute)
			y.s.Operate(y.now, &Operation{Do: DoResume})
		}, 1, 3},
	} {
		t.Run(name, func(t *testing.T) {
			y := newYear(t, 1, Definition{Name: "s", Queue: "q", Spec: "* * * * *", Zone: "Europe/Berlin", Missed: tc.missed, Overlap: OverlapAllow})
			end := y.now.Add(10*time.Minute + 45*time.Second)
			known := y.s.Definition.Zone
			y.s.Definition.Zone = "Europe/Atlantis"
			y.restart()
			y.now = y.now.Add(time.Minute)
			if tasks, changed := y.s.Due(y.now); tasks != nil || !changed || y.s.Problem == "" || !y.s.Next.IsZero() {
				t.Fatalf("without its zone: %d tasks, %+v", len(tasks), y.s)
			}
			if _, changed := y.s.Due(y.now); changed {
				t.Error("it changes though nothing has")
			}
			tc.before(y)
			y.s.Definition.Zone = known
			y.restart()
			y.now = end
			if y.s.Wakes().IsZero() || y.s.Wakes().After(y.now) {
				t.Fatalf("it wakes at %v", y.s.Wakes())
			}
			if _, changed := y.s.Due(y.now); !changed || y.s.Problem != "" || !y.s.Wakes().Equal(y.now.Add(15*time.Second)) {
				t.Errorf("with its zone: %+v", y.s)
			}
			if y.s.Counts.Fired != tc.fired || y.s.Counts.Missed != tc.counted {
				t.Errorf("counts %+v, want %d fired and %d missed", y.s.Counts, tc.fired, tc.counted)
			}
		})
	}
}
