package workers

import (
	"strconv"
	"strings"
	"testing"
	"time"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/history"
	"github.com/fenfa/fenfa/internal/task"
)

// cleanRun is the evidence of a run without a fault: four jobs of one key, done by
// two workers in turns.
func cleanRun() *evidence {
	e := &evidence{
		status: map[fenfa.ID]*fenfa.TaskStatus{}, logs: map[string][]fenfa.Change{}, queues: map[string]string{"sku": jobs},
	}
	begin := time.Unix(1_700_000_000, 0)
	for n := 1; n <= 4; n++ {
		id, worker, value := fenfa.DeriveID(strconv.Itoa(n)), "worker-"+strconv.Itoa(n%2), []byte(strconv.Itoa(n))
		at := begin.Add(time.Duration(n) * time.Second)
		e.submissions = append(e.submissions, submission{
			client: "sku", id: id, queue: jobs, key: "sku", n: n, confirmed: true, start: at, end: at.Add(time.Millisecond),
		})
		e.runs = append(e.runs, history.Delivery{
			Worker: worker, Task: task.ID(id), Queue: jobs, Key: "sku", Attempt: 1, Delivery: 1,
			Start: at.Add(2 * time.Millisecond).UnixNano(), End: at.Add(3 * time.Millisecond).UnixNano(),
		})
		e.status[id] = &fenfa.TaskStatus{ID: id, State: fenfa.StateDone, Deliveries: 1, Worker: worker, Result: value}
		e.logs["sku"] = append(e.logs["sku"], fenfa.Change{
			Seq: uint64(10 * n), TaskID: id, Value: value, VersionBefore: uint64(10 * (n - 1)), VersionAfter: uint64(10 * n), Worker: worker,
		})
	}
	return e
}

func TestARunWithoutAFaultIsClean(t *testing.T) {
	if found := cleanRun().judge(allowed{}); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}

func TestEveryBrokenPromiseIsFound(t *testing.T) {
	status := func(e *evidence, i int) *fenfa.TaskStatus { return e.status[e.submissions[i].id] }
	for name, tc := range map[string]struct {
		tamper func(e *evidence)
		want   string
		may    allowed
	}{
		"a confirmed job is nowhere": {func(e *evidence) { e.status[e.submissions[3].id] = nil; e.logs["sku"] = e.logs["sku"][:3] }, "lost:", allowed{repeats: true, failures: true}},
		"a job took effect twice":    {func(e *evidence) { e.logs["sku"] = append(e.logs["sku"], e.logs["sku"][3]) }, "twice:", allowed{repeats: true, failures: true}},
		"an effect is missing":       {func(e *evidence) { e.logs["sku"] = e.logs["sku"][:3] }, "missing:", allowed{repeats: true, failures: true}},
		"two effects changed places": {
			func(e *evidence) {
				log := e.logs["sku"]
				log[0].TaskID, log[1].TaskID = log[1].TaskID, log[0].TaskID
			}, "order:", allowed{repeats: true, failures: true},
		},
		"two jobs of a key overlap": {
			func(e *evidence) { e.runs[1].End = e.runs[2].Start + int64(time.Millisecond) }, "overlap:", allowed{repeats: true, failures: true},
		},
		"a job is run twice at once": {
			func(e *evidence) { e.runs = append(e.runs, again(e.runs[1])) }, "at once:", allowed{repeats: true, failures: true},
		},
		"a write without a task":  {func(e *evidence) { e.logs["sku"][1].TaskID = fenfa.ID{} }, "nowhere:", allowed{repeats: true, failures: true}},
		"an update was lost":      {func(e *evidence) { e.logs["sku"][2].Value = []byte("2") }, "counts", allowed{repeats: true, failures: true}},
		"a version went back":     {func(e *evidence) { e.logs["sku"][2].VersionAfter = 5 }, "goes from version", allowed{repeats: true, failures: true}},
		"a result of another job": {func(e *evidence) { status(e, 1).Result = []byte("1") }, "returned", allowed{repeats: true, failures: true}},
		"a job is dead":           {func(e *evidence) { status(e, 1).State = fenfa.StateDead }, "not done", allowed{repeats: true, failures: true}},
		"an attempt was counted":  {func(e *evidence) { status(e, 1).Attempts = 1 }, "no handler failed", allowed{repeats: true}},
		"a job was run twice": {
			func(e *evidence) { e.runs = append(e.runs, e.runs[1]) }, "run 2 times, want once", allowed{},
		},
		"an effect by a worker that lost its lease": {
			func(e *evidence) { e.logs["sku"][1].Worker = "somebody" }, "took effect by", allowed{repeats: true, failures: true},
		},
		"an effect that nobody ran for": {
			func(e *evidence) { e.runs = e.runs[1:] }, "no journal shows", allowed{repeats: true, failures: true},
		},
		"an effect of a run that did not end": {
			func(e *evidence) { e.runs[0].End = 0 }, "no journal shows", allowed{repeats: true, failures: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := cleanRun()
			tc.tamper(e)
			if found := strings.Join(e.judge(tc.may), "\n"); !strings.Contains(found, tc.want) {
				t.Errorf("found %q, want something with %q", found, tc.want)
			}
		})
	}
}

// again is the same run by another worker in the middle of it, without effect.
func again(run history.Delivery) history.Delivery {
	run.Worker, run.Start, run.Delivery = "somebody", run.Start+(run.End-run.Start)/2, run.Delivery-1
	return run
}

// TestARunHasItsKeyUntilItsWorkerLostIt looks at a run of 8 s beside another run
// of its key, both without effect.
func TestARunHasItsKeyUntilItsWorkerLostIt(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	after := func(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }
	for name, tc := range map[string]struct {
		other   float64 // when the other run begins
		outages []outage
		cut     bool // the first run has no end
		may     allowed
		found   bool
	}{
		"after its end":                   {other: 8},
		"before its end":                  {other: 7.9, found: true},
		"it never ended":                  {other: 100, cut: true, found: true},
		"after its kill":                  {other: 5.1, cut: true, outages: []outage{{worker: "first", from: after(5)}}},
		"before its kill":                 {other: 4.9, cut: true, outages: []outage{{worker: "first", from: after(5)}}, found: true},
		"after another's kill":            {other: 5.1, cut: true, outages: []outage{{worker: "second", from: after(5)}}, found: true},
		"after a kill before it":          {other: 5.1, cut: true, outages: []outage{{worker: "first", from: after(-1)}}, found: true},
		"long after its worker froze":     {other: 5.1, outages: []outage{{worker: "first", from: after(2), to: after(7)}}},
		"too soon after its worker froze": {other: 3, outages: []outage{{worker: "first", from: after(2), to: after(7)}}, found: true},
		"its worker froze for a moment":   {other: 5.1, outages: []outage{{worker: "first", from: after(2), to: after(3)}}, found: true},
		"its worker froze later":          {other: 5.1, outages: []outage{{worker: "first", from: after(5), to: after(9)}}, found: true},
		"past its timeout":                {other: 2.5, may: allowed{timeout: 2 * time.Second}},
		"before its timeout":              {other: 0.5, may: allowed{timeout: 2 * time.Second}, found: true},
		"repeats do not excuse":           {other: 5.1, may: allowed{repeats: true, failures: true}, found: true},
	} {
		t.Run(name, func(t *testing.T) {
			first := history.Delivery{Worker: "first", Queue: jobs, Key: "sku", Delivery: 1, Start: begin.UnixNano(), End: after(8).UnixNano()}
			second := history.Delivery{Worker: "second", Queue: jobs, Key: "sku", Delivery: 2, Start: after(tc.other).UnixNano(), End: after(200).UnixNano()}
			if tc.cut {
				first.End = 0
			}
			e := &evidence{runs: []history.Delivery{second, first}, outages: tc.outages}
			if found := e.judgeLanes(tc.may); len(found) > 0 != tc.found {
				t.Errorf("found %q, want something: %v", found, tc.found)
			}
			e.unordered = []string{jobs}
			if found := e.judgeLanes(tc.may); len(found) > 0 {
				t.Errorf("found %q in a queue without order", found)
			}
		})
	}
}

// TestMovesOfKeysAreFound tells a run in which a key went to a second worker from
// one in which it did not.
func TestMovesOfKeysAreFound(t *testing.T) {
	e := cleanRun()
	if moves := movesBetween(e, []string{"worker-0"}); len(moves) != 0 {
		t.Errorf("found moves %v of a key that one worker had", moves)
	}
	if moves := movesBetween(e, []string{"worker-0", "worker-1"}); len(moves) != 1 {
		t.Errorf("found moves %v of a key that two workers had", moves)
	}
}

// TestRunsAtTheWrongWorkerAreFound looks for labels that a worker does not have.
func TestRunsAtTheWrongWorkerAreFound(t *testing.T) {
	e := cleanRun()
	f := &fleet{t: t, crews: []*process{
		{crew: crew{Workers: []string{"worker-0"}, Labels: map[string]string{"gpu": "yes"}}}, {crew: crew{Workers: []string{"worker-1"}}},
	}}
	e.submissions[1].require = "gpu" // The second job ran at worker-0.
	if found := f.misplaced(e); len(found) != 0 {
		t.Errorf("found %q in a run with all jobs where they belong", found)
	}
	e.submissions[2].require = "gpu"
	if found := f.misplaced(e); len(found) != 1 {
		t.Errorf("found %q, want the one job that ran at a worker without the label", found)
	}
}

// TestWhatEndedMeanwhileIsCounted counts the jobs of one queue that ended while
// another was served.
func TestWhatEndedMeanwhileIsCounted(t *testing.T) {
	e := cleanRun()
	e.runs[1].Queue, e.runs[2].Queue = "few", "few"
	if n := endedWhile(e, jobs, "few"); n != 0 {
		t.Errorf("%d jobs ended between two that follow each other", n)
	}
	e.runs[3].End = e.runs[1].End + 1
	if n := endedWhile(e, jobs, "few"); n != 1 {
		t.Errorf("%d jobs ended meanwhile, want 1", n)
	}
}
