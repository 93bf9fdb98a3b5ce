package dispatch

import (
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

func TestOnlyWorkersThatMeetWhatIsRequiredAreEligible(t *testing.T) {
	b := newBench(t)
	b.labelled("plain", 1)
	b.labelled("x", 1, "gpu=a100")
	quiet := b.labelled("y", 1, "gpu=h100")
	want := func(when string, counts map[task.Selector]int) {
		t.Helper()
		for require, n := range counts {
			if got := b.Eligible("q", require); got != n {
				t.Errorf("%s %d workers are eligible for %q, want %d", when, got, require, n)
			}
		}
	}
	want("first", map[task.Selector]int{"": 3, "gpu": 2, "gpu=h100": 1, "!gpu": 1, "gpu,zone": 0})
	quiet.Quiet(true)
	want("quiet,", map[task.Selector]int{"": 2, "gpu": 1, "gpu=h100": 0})
	quiet.Quiet(false)
	want("again", map[task.Selector]int{"": 3, "gpu=h100": 1})
	if n := b.Eligible("another", ""); n != 0 {
		t.Errorf("%d workers are eligible for a queue that nobody serves", n)
	}
}

func TestAnEjectedWorkerIsEligibleWhereNoOtherIs(t *testing.T) {
	b := newBench(t)
	for _, id := range []string{"a", "b", "c"} {
		b.labelled(id, 1, "zone=x")
	}
	bad := b.labelled("bad", 1, "zone=x", "gpu")
	b.mu.Lock()
	b.byName["q"].eject(bad.member("q"), EjectedForFailures, b.now()+time.Minute)
	b.mu.Unlock()
	if all, gpu := b.Eligible("q", "zone=x"), b.Eligible("q", "gpu"); all != 3 || gpu != 1 {
		t.Errorf("%d and %d workers are eligible, want the 3 others, and the ejected one alone", all, gpu)
	}
}
