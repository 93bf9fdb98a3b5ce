package workers

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/history"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/tests/harness"
)

// maxFindings bounds how much of a broken run is told.
const maxFindings = 20

// allowed says what may happen in a scenario beyond its effects. The zero value
// is the strictest.
type allowed struct {
	repeats  bool // tasks may run again, as after a kill
	failures bool // attempts may fail

	timeout time.Duration // of an attempt whose handler does not listen; 0: there is none
}

// check waits until everything has come to rest and fails the test for every
// promise that was broken.
func (f *fleet) check(may allowed, submissions ...submission) *evidence {
	f.t.Helper()
	e := f.collect(submissions)
	harness.Audit(f.t, f.client)
	findings := e.judge(may)
	for i, finding := range findings {
		if i == maxFindings {
			f.t.Errorf("and %d more", len(findings)-i)
			break
		}
		f.t.Error(finding)
	}
	f.t.Logf("checked %d jobs in %d runs", len(submissions), len(e.runs))
	return e
}

// judge finds what broke a promise: by the history checker, and by what it cannot
// know. It is pure, so that it can be tested.
func (e *evidence) judge(may allowed) []string {
	var findings []string
	runs := runsByTask{}
	for _, run := range e.runs {
		runs[run.Task] = append(runs[run.Task], run)
	}
	report := history.Check(e.history(runs))
	if !report.OK() {
		findings = append(findings, report.String())
	}
	findings = append(findings, e.judgeLanes(may)...)
	for i := range e.submissions {
		findings = append(findings, e.judgeJob(&e.submissions[i], runs, may)...)
	}
	for key, log := range e.logs {
		findings = append(findings, e.judgeTally(key, log)...)
	}
	return findings
}

// judgeJob checks that a job ended well and ran no more often than it may.
func (e *evidence) judgeJob(s *submission, runs runsByTask, may allowed) []string {
	status := e.status[s.id]
	if status == nil {
		return nil // The history checker says whether that is a loss.
	}
	var findings []string
	find := func(format string, args ...any) {
		findings = append(findings, fmt.Sprintf("job %d of %s (%s): ", s.n, s.key, s.id)+fmt.Sprintf(format, args...))
	}
	own := runs[task.ID(s.id)]
	if status.State != fenfa.StateDone {
		find("not done: it is %s %s", status.State, status.Error)
	}
	if !may.failures && status.Attempts != 0 {
		find("%d failed attempts are counted, and no handler failed: %v", status.Attempts, status.History)
	}
	if !may.repeats && !may.failures && len(own) != 1 {
		find("run %d times, want once: %v", len(own), own)
	}
	if status.State == fenfa.StateDone && runs.effective(status) == nil {
		find("done in delivery %d by %q, which no journal shows: %v", status.Deliveries, status.Worker, own)
	}
	return findings
}

// runsByTask is all runs of handlers.
type runsByTask map[task.ID][]history.Delivery

// effective returns the run of a handler that made the effect of a job that is
// done: the last one of its last hand-out.
func (r runsByTask) effective(status *fenfa.TaskStatus) *history.Delivery {
	var last *history.Delivery
	own := r[task.ID(status.ID)]
	for i := range own {
		run := &own[i]
		if run.Worker == status.Worker && run.Delivery == status.Deliveries && run.Error == "" && run.End != 0 &&
			(last == nil || run.Start > last.Start) {
			last = run
		}
	}
	return last
}

// judgeTally checks that a tally counts from 1 without a gap, from version to
// greater version, and that each job returned the count that it made.
func (e *evidence) judgeTally(key string, log []fenfa.Change) []string {
	var findings []string
	version := uint64(0)
	for i, c := range log {
		want := strconv.Itoa(i + 1)
		if string(c.Value) != want {
			findings = append(findings, fmt.Sprintf("%s: row %s of the op log counts %q", key, want, c.Value))
		}
		if c.VersionBefore != version || c.VersionAfter <= version {
			findings = append(findings, fmt.Sprintf("%s: row %s goes from version %d to %d, the one before ended at %d",
				key, want, c.VersionBefore, c.VersionAfter, version))
		}
		version = c.VersionAfter
		status := e.status[c.TaskID]
		if status == nil {
			continue // The history checker finds effects from nowhere.
		}
		if string(status.Result) != want {
			findings = append(findings, fmt.Sprintf("%s: task %s made the count %s and returned %q", key, c.TaskID, want, status.Result))
		}
		if status.Worker != c.Worker {
			findings = append(findings, fmt.Sprintf("%s: task %s took effect by %q and is done by %q", key, c.TaskID, c.Worker, status.Worker))
		}
	}
	return findings
}

// history tells the run to the history checker: what submitters know, the op log
// as the ledger of effects, and where each task ended. Of the runs of handlers it
// gets those that took effect; judgeLanes sees them all. A handler does not see the token of its lease, so
// each of these gets one by the order of their begins: effects that do not follow
// that order, or runs of a key that overlap, are found all the same.
func (e *evidence) history(runs runsByTask) history.History {
	h := history.History{Unordered: e.unordered}
	for i := range e.submissions {
		s := &e.submissions[i]
		result := history.Unknown
		if s.confirmed {
			result = history.OK
		}
		h.Submits = append(h.Submits, history.Submit{
			Client: s.client, Start: s.start.UnixNano(), End: s.end.UnixNano(),
			Task: task.ID(s.id), Queue: s.queue, Key: s.key, Pos: int64(s.n), Result: result,
		})
		status := e.status[s.id]
		if status == nil {
			continue
		}
		for state := task.StateQueued; state <= task.StateExpired; state++ {
			if state.String() == string(status.State) {
				h.Finals = append(h.Finals, history.Final{Task: task.ID(s.id), State: state})
			}
		}
		if run := runs.effective(status); run != nil {
			h.Deliveries = append(h.Deliveries, *run)
		}
	}
	slices.SortStableFunc(h.Deliveries, func(a, b history.Delivery) int { return cmp.Compare(a.Start, b.Start) })
	tokens := map[task.ID]history.Fence{}
	for i := range h.Deliveries {
		h.Deliveries[i].Fence = history.Fence{Epoch: 1, Token: uint64(i + 1)}
		tokens[h.Deliveries[i].Task] = h.Deliveries[i].Fence
	}
	for key, log := range e.logs {
		for _, c := range log {
			h.Effects = append(h.Effects, history.Effect{
				Task: task.ID(c.TaskID), Queue: e.queues[key], Key: key, Partition: task.PartitionOf(key, task.DefaultPartitions),
				Seq: c.Seq, Fence: tokens[task.ID(c.TaskID)],
			})
		}
	}
	return h
}
