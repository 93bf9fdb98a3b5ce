package task_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

func TestASelectorIsCanonical(t *testing.T) {
	for _, c := range []struct {
		terms []string
		want  task.Selector
	}{
		{nil, ""},
		{[]string{"", " , "}, ""},
		{[]string{"zone=eu", "gpu"}, "gpu,zone=eu"},
		{[]string{"zone=eu, gpu", "gpu"}, "gpu,zone=eu"},
		{[]string{"version!=1.2", "!old", "a/b_c-d.e=x/y:z"}, "!old,a/b_c-d.e=x/y:z,version!=1.2"},
		{[]string{"*"}, "*"},
		{[]string{"*", "gpu"}, "gpu"},
	} {
		got, err := task.NewSelector(c.terms...)
		if err != nil || got != c.want {
			t.Errorf("%q: got %q, %v; want %q", c.terms, got, err, c.want)
		}
		if again, err := task.NewSelector(got.Terms()...); err != nil || again != got {
			t.Errorf("%q made of its own terms is %q, %v", got, again, err)
		}
	}
}

func TestATermThatCannotBeReadIsRefused(t *testing.T) {
	for _, term := range []string{"=", "!", "=x", "!=x", "a=", "a!=", "a=b=c", "a==b", "!a=b", "a b", "a=b c", "!!a", "a!", "a*", "!*", "a=b!"} {
		if s, err := task.NewSelector(term); task.CodeOf(err) != task.CodeInvalidArgument || !strings.Contains(fmt.Sprint(err), fmt.Sprintf("%q", term)) {
			t.Errorf("%q became %q, %v", term, s, err)
		}
	}
	var many []string
	for i := range task.MaxTerms + 1 {
		many = append(many, fmt.Sprintf("label%d", i))
	}
	if _, err := task.NewSelector(many...); task.CodeOf(err) != task.CodeInvalidArgument {
		t.Errorf("too many terms: %v", err)
	}
	if _, err := task.NewSelector(many[:task.MaxTerms]...); err != nil {
		t.Errorf("as many terms as are allowed: %v", err)
	}
	if _, err := task.NewSelector(strings.Repeat("x", task.MaxSelector+1)); task.CodeOf(err) != task.CodeInvalidArgument {
		t.Errorf("too long: %v", err)
	}
}

func TestASelectorMatchesLabelsThatMeetEveryTerm(t *testing.T) {
	labels := map[string]string{"zone": "eu", "gpu": "", "version": "2"}
	for selector, want := range map[task.Selector]bool{
		"": true, "*": true, "zone": true, "gpu": true, "zone=eu": true, "gpu,zone=eu": true, "version!=1": true, "!disk": true, "disk!=ssd": true,
		"zone=us": false, "disk": false, "!zone": false, "version!=2": false, "gpu,zone=us": false, "disk,zone=eu": false, "gpu=x": false,
	} {
		if got := selector.Matches(labels); got != want {
			t.Errorf("%q: got %v", selector, got)
		}
	}
	if task.Selector("gpu").Matches(nil) || !task.Selector("!gpu").Matches(nil) {
		t.Error("a worker without labels has none")
	}
}

func TestATaskAsksForWhatItAndItsQueueAsk(t *testing.T) {
	queue := task.Placement{Require: "zone=eu", Prefer: "fast"}
	for _, c := range []struct{ own, want task.Placement }{
		{task.Placement{}, queue},
		{queue, queue},
		{task.Placement{Require: "gpu"}, task.Placement{Require: "gpu,zone=eu", Prefer: "fast"}},
		{task.Placement{Require: "gpu,zone=eu", Prefer: "big"}, task.Placement{Require: "gpu,zone=eu", Prefer: "big,fast"}},
	} {
		if got := c.own.With(queue); got != c.want {
			t.Errorf("%+v: got %+v, want %+v", c.own, got, c.want)
		}
	}
	if got := (task.Placement{Prefer: "a"}).With(task.Placement{}); got != (task.Placement{Prefer: "a"}) {
		t.Errorf("in a queue that asks for nothing: %+v", got)
	}
}

func TestAPlacementThatIsNotCanonicalIsRefused(t *testing.T) {
	for field, p := range map[string]task.Placement{
		"require": {Require: "zone,gpu"},
		"prefer":  {Prefer: "=x"},
	} {
		err := p.Validate()
		if task.CodeOf(err) != task.CodeInvalidArgument || !strings.Contains(err.Error(), string(p.Require+p.Prefer)) {
			t.Errorf("%s: %v", field, err)
		}
	}
	long := task.Task{Queue: "q", Placement: task.Placement{Require: "b,a"}}
	if err := long.Validate(); task.CodeOf(err) != task.CodeInvalidArgument {
		t.Errorf("a task: %v", err)
	}
}

func TestAStarInAValueIsRefusedWithAWayOut(t *testing.T) {
	for _, term := range []string{"gpu=*", "gpu!=*", "zone=eu-*"} {
		_, err := task.NewSelector(term)
		if task.CodeOf(err) != task.CodeInvalidArgument || !strings.Contains(err.Error(), "no wildcard, and the name alone asks for any value") {
			t.Errorf("%s: %v", term, err)
		}
	}
}

func TestAnyWorkerTakesADemandBack(t *testing.T) {
	q := task.DefaultQueue("q")
	q.Merge(task.Queue{Placement: task.Placement{Require: "gpu", Prefer: "fast"}})
	q.Merge(task.Queue{Placement: task.Placement{Require: task.AnyWorker}})
	if q.Placement != (task.Placement{Prefer: "fast"}) {
		t.Errorf("got %+v", q.Placement)
	}
}
