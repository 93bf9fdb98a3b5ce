package history

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

func id(name string) task.ID { return task.DeriveID(name) }

// Short forms: a task's name is its id, all is in queue q and key k.
func sub(name string, start, end int64, r Result) Submit {
	return Submit{Client: "c", Start: start, End: end, Task: id(name), Queue: "q", Key: "k", Result: r}
}

func del(name, worker string, token uint64, start, end int64) Delivery {
	return Delivery{Worker: worker, Fence: Fence{1, token}, Task: id(name), Queue: "q", Key: "k", Attempt: 1, Delivery: 1, Start: start, End: end}
}

func eff(name string, seq, token uint64) Effect {
	return Effect{Task: id(name), Queue: "q", Key: "k", Seq: seq, Fence: Fence{1, token}}
}

func fin(name string, s task.State) Final { return Final{id(name), s} }

// submits are all at the same time, so that their order is free.
func submits(names ...string) (all []Submit) {
	for _, name := range names {
		all = append(all, sub(name, 0, 1000, OK))
	}
	return all
}

func dones(names ...string) (all []Final) {
	for _, name := range names {
		all = append(all, fin(name, task.StateDone))
	}
	return all
}

// judged is a history and the rules that it breaks.
type judged struct {
	name string
	h    History
	want []Rule
}

func judge(t *testing.T, cases []judged) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			report := Check(c.h)
			var got []Rule
			for _, rule := range Rules() {
				if report.Broken[rule] > 0 {
					got = append(got, rule)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("broken rules %v, want %v\n%s", got, c.want, report.String())
			}
		})
	}
}

func unkeyed(h History) History {
	h.Unordered = []string{"q"}
	return h
}

func TestTasksAreAccountedFor(t *testing.T) {
	judge(t, []judged{
		{"nothing happened", History{}, nil},
		{"a confirmed task is nowhere", History{Submits: submits("a")}, []Rule{RuleLost}},
		{"a confirmed task is unknown", History{Submits: submits("a"), Finals: []Final{fin("a", task.StateUnknown)}}, []Rule{RuleLost}},
		{"a confirmed task is still queued", History{Submits: submits("a"), Finals: []Final{fin("a", task.StateQueued)}}, nil},
		{"confirmed tasks ended in every other way", History{
			Submits: submits("a", "b", "c", "d"),
			Finals:  []Final{fin("a", task.StateDead), fin("b", task.StateCancelled), fin("c", task.StateExpired), fin("d", task.StateScheduled)},
		}, nil},
		{"an unknown submit is nowhere", History{Submits: []Submit{sub("a", 1, 2, Unknown)}}, nil},
		{"an unknown submit happened", History{Submits: []Submit{sub("a", 1, 2, Unknown)}, Effects: []Effect{eff("a", 1, 1)}, Finals: dones("a")}, nil},
		{"confirmed by the second try", History{Submits: []Submit{sub("a", 1, 2, Unknown), sub("a", 3, 4, OK)}}, []Rule{RuleLost}},
		{"a refused task is delivered", History{Submits: []Submit{sub("a", 1, 2, Fail)}, Deliveries: []Delivery{del("a", "w", 1, 3, 4)}}, []Rule{RuleNowhere}},
		{"a task from nowhere ends", History{Finals: []Final{fin("a", task.StateDead)}}, []Rule{RuleNowhere}},
		{"a task from nowhere takes effect", History{Effects: []Effect{eff("a", 1, 1)}}, []Rule{RuleNowhere}},
		{"a task takes effect twice", History{Submits: submits("a"), Finals: dones("a"), Effects: []Effect{eff("a", 1, 1), eff("a", 2, 2)}}, []Rule{RuleTwice}},
		{"a done task took no effect", History{Submits: submits("a"), Finals: dones("a")}, []Rule{RuleMissing}},
		{"a task is done and queued", History{
			Submits: submits("a"), Effects: []Effect{eff("a", 1, 1)}, Finals: []Final{fin("a", task.StateDone), fin("a", task.StateQueued)},
		}, []Rule{RuleTwoEnds}},
		{"a task is found done twice", History{Submits: submits("a"), Effects: []Effect{eff("a", 1, 1)}, Finals: dones("a", "a")}, nil},
		{"a dead task took effect", History{Submits: submits("a"), Effects: []Effect{eff("a", 1, 1)}, Finals: []Final{fin("a", task.StateDead)}}, []Rule{RuleTwoEnds}},
	})
}

func TestEffectsKeepTheOrderOfSubmits(t *testing.T) {
	swapped := History{
		Submits: []Submit{sub("a", 1, 2, OK), sub("b", 3, 4, OK)}, Finals: dones("a", "b"),
		Effects: []Effect{eff("b", 1, 1), eff("a", 2, 2)},
	}
	judge(t, []judged{
		{"effects against the order of time", swapped, []Rule{RuleOrder}},
		{"effects against the order of time, without order", unkeyed(swapped), nil},
		{"effects of submits at the same time, either way", History{
			Submits: []Submit{sub("a", 1, 3, OK), sub("b", 3, 4, OK)}, Finals: dones("a", "b"),
			Effects: []Effect{eff("b", 1, 1), eff("a", 2, 2)},
		}, nil},
		{"a task whose confirm came from its second try may be late", History{
			Submits: []Submit{sub("a", 1, 2, Unknown), sub("b", 3, 4, OK), sub("a", 5, 6, OK)}, Finals: dones("a", "b"),
			Effects: []Effect{eff("b", 1, 1), eff("a", 2, 2)},
		}, nil},
		{"effects against a client's own order", History{
			Submits: []Submit{pos(sub("a", 1, 9, OK), 1), pos(sub("b", 1, 9, OK), 2)}, Finals: dones("a", "b"),
			Effects: []Effect{eff("b", 1, 1), eff("a", 2, 2)},
		}, []Rule{RuleOrder}},
		{"positions of a repeated task do not count", History{
			Submits: []Submit{pos(sub("a", 1, 9, Unknown), 1), pos(sub("b", 1, 9, OK), 2), pos(sub("a", 5, 9, OK), 1)}, Finals: dones("a", "b"),
			Effects: []Effect{eff("b", 1, 1), eff("a", 2, 2)},
		}, nil},
	})
}

func TestLeasesAreFenced(t *testing.T) {
	second := func(d Delivery) Delivery {
		d.Delivery = 2
		return d
	}
	// two is a history of two tasks whose executions and tokens matter.
	two := func(first, second Delivery) History {
		return History{
			Submits: submits("a", "b"), Finals: dones("a", "b"), Deliveries: []Delivery{first, second},
			Effects: []Effect{eff("a", 1, first.Fence.Token), eff("b", 2, second.Fence.Token)},
		}
	}
	judge(t, []judged{
		{"executions of two leases overlap", two(del("a", "w1", 1, 10, 20), del("b", "w2", 2, 19, 30)), []Rule{RuleOverlap, RuleStale}},
		{"executions of one lease overlap", two(del("a", "w1", 1, 10, 20), del("b", "w1", 1, 19, 30)), []Rule{RuleOverlap}},
		{"executions overlap, without order", unkeyed(two(del("a", "w1", 1, 10, 20), del("b", "w2", 2, 19, 30))), nil},
		{"one execution begins when another ends", two(del("a", "w1", 1, 10, 20), del("b", "w2", 2, 20, 30)), nil},
		{"an execution whose end nobody saw", two(del("a", "w1", 1, 10, 0), del("b", "w2", 2, 19, 30)), nil},

		{"a token names two workers", History{
			Submits: submits("a", "b"), Finals: []Final{fin("a", task.StateQueued), fin("b", task.StateQueued)},
			Deliveries: []Delivery{del("a", "w1", 1, 10, 20), del("b", "w2", 1, 30, 40)},
		}, []Rule{RuleTokenReused}},
		{"a lease has several tasks", History{
			Submits: submits("a", "b"), Finals: []Final{fin("a", task.StateQueued), fin("b", task.StateQueued)},
			Deliveries: []Delivery{del("a", "w1", 1, 10, 20), del("b", "w1", 1, 30, 40)},
		}, nil},
		{"a redelivery has a smaller token", History{
			Submits: submits("a"), Finals: []Final{fin("a", task.StateQueued)},
			Deliveries: []Delivery{del("a", "w1", 5, 10, 20), second(del("a", "w2", 4, 30, 40))},
		}, []Rule{RuleTokenBack}},
		{"a later task has a smaller token", History{
			Submits: []Submit{sub("a", 1, 2, OK), sub("b", 20, 21, OK)}, Finals: []Final{fin("a", task.StateQueued), fin("b", task.StateQueued)},
			Deliveries: []Delivery{del("a", "w1", 5, 10, 15), del("b", "w2", 4, 30, 40)},
		}, []Rule{RuleTokenBack}},
		{"an earlier task may arrive late with a smaller token", History{
			Submits: submits("a", "b"), Finals: []Final{fin("a", task.StateQueued), fin("b", task.StateQueued)},
			Deliveries: []Delivery{del("a", "w1", 5, 10, 15), del("b", "w2", 4, 30, 40)},
		}, nil},
		{"a later effect has a smaller token", History{
			Submits: submits("a", "b"), Finals: dones("a", "b"), Effects: []Effect{eff("a", 1, 2), eff("b", 2, 1)},
		}, []Rule{RuleStale}},
		{"a lease takes effect after a greater one was out", History{
			Submits: submits("a"), Finals: dones("a"), Effects: []Effect{eff("a", 1, 1)},
			Deliveries: []Delivery{del("a", "w1", 1, 10, 40), second(del("a", "w2", 2, 30, 35))},
		}, []Rule{RuleStale}},
		{"a lease that was lost runs on without effect", History{
			Submits: submits("a"), Finals: dones("a"), Effects: []Effect{eff("a", 1, 2)},
			Deliveries: []Delivery{del("a", "w1", 1, 10, 40), second(del("a", "w2", 2, 30, 35))},
		}, nil},
	})
}

func pos(s Submit, pos int64) Submit {
	s.Pos = pos
	return s
}

func TestSumsOfGroups(t *testing.T) {
	group := Group{Name: "g", Records: []Ref{{"a", "n"}, {"b", "n"}}, Total: 10}
	for _, c := range []struct {
		name   string
		values []int64
		group  string
		ok     bool
	}{
		{"right", []int64{3, 7}, "g", true},
		{"negative and right", []int64{-5, 15}, "g", true},
		{"half of a transfer", []int64{3, 6}, "g", false},
		{"a record is missing", []int64{10}, "g", false},
		{"not declared", []int64{3, 7}, "h", false},
	} {
		report := Check(History{Groups: []Group{group}, Snapshots: []Snapshot{{Group: c.group, Values: c.values}}})
		if report.OK() != c.ok || !c.ok && report.Broken[RuleSum] != 1 {
			t.Errorf("%s: %s", c.name, report.String())
		}
	}
}

func TestReportNamesWhatItFoundAndCountsTheRest(t *testing.T) {
	var h History
	for i := range 3 * MaxPerRule {
		h.Submits = append(h.Submits, Submit{Task: task.ID{byte(i), 1}, Result: OK})
	}
	report := Check(h)
	if report.Broken[RuleLost] != 3*MaxPerRule || len(report.Violations) != MaxPerRule {
		t.Errorf("%d violations, %d named", report.Broken[RuleLost], len(report.Violations))
	}
	text := report.String()
	for _, want := range []string{"60 tasks confirmed", "lost: 60 violations", h.Submits[0].Task.String(), `"result":"ok"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not say %q:\n%s", want, text)
		}
	}
	healthy := Check(History{})
	if !strings.Contains(healthy.String(), "no violation") {
		t.Errorf("an empty history: %s", healthy.String())
	}
}

func TestViolationShowsAFewOperations(t *testing.T) {
	var h History
	for i := range 50 {
		h.Submits = append(h.Submits, sub("a", int64(i), int64(i), OK))
	}
	report := Check(h)
	if len(report.Violations) != 1 || len(report.Violations[0].Ops) != maxOps {
		t.Errorf("%s", report.String())
	}
}

func TestReportDoesNotDependOnTheRun(t *testing.T) {
	for _, m := range []mutant{reuseToken, twoWorkers, forgetMark} {
		first, second := Check(runFake(3, m)), Check(runFake(3, m))
		if !reflect.DeepEqual(first, second) {
			t.Errorf("%s: two reports differ:\n%s\n%s", m, first.String(), second.String())
		}
	}
}

func TestHistoryIsNotChanged(t *testing.T) {
	h, same := runFake(4, twoWorkers), runFake(4, twoWorkers)
	Check(h)
	if !reflect.DeepEqual(h, same) {
		t.Error("the check changed the history")
	}
}

func BenchmarkCheck(b *testing.B) {
	h := runFake(1, healthy)
	for b.Loop() {
		Check(h)
	}
}
