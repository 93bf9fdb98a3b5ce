package robustness

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/history"
	"github.com/fenfa/fenfa/internal/task"
)

// maxFindings bounds how much of a broken run is told.
const maxFindings = 20

// check waits until everything has come to rest and fails the test for every
// promise that was broken to the submitters.
func check(t *testing.T, client *fenfa.Client, submissions []submission) {
	t.Helper()
	e := collect(t, client, submissions)
	report := history.Check(historyOf(submissions, e))
	if !report.OK() {
		t.Error(report.String())
	}
	findings := judge(submissions, e)
	for i, f := range findings {
		if i == maxFindings {
			t.Errorf("and %d more", len(findings)-i)
			break
		}
		t.Error(f)
	}
	t.Logf("checked %d orders, %d effects", len(submissions), report.Counts.Effects)
}

// historyOf tells the run to the history checker: what the submitters know, the
// op log as the independent ledger of effects, and where each task ended.
func historyOf(submissions []submission, e *evidence) history.History {
	var h history.History
	now := time.Now()
	for i := range submissions {
		s := &submissions[i]
		h.Submits = append(h.Submits, history.Submit{
			Client: strconv.Itoa(s.client), Start: s.start.UnixNano(), End: s.end.UnixNano(),
			Task: task.ID(s.id), Queue: orders, Key: s.key, Pos: int64(s.n), Result: resultOf(s.confirmed),
		})
		// The commit of the order is the confirm of its note, at a moment that nobody
		// noted: so nothing follows from it about the order of notes.
		h.Submits = append(h.Submits, history.Submit{
			Client: "emitted", Start: s.start.UnixNano(), End: now.UnixNano(),
			Task: task.ID(noteID(s.id)), Queue: notes, Key: noteKey(s.key), Result: resultOf(e.state(s.id) == fenfa.StateDone),
		})
		h.Finals = append(h.Finals, e.finals(s.id)...)
		h.Finals = append(h.Finals, e.finals(noteID(s.id))...)
	}
	for key, log := range e.logs {
		for _, c := range log {
			h.Effects = append(h.Effects, history.Effect{
				Task: task.ID(c.TaskID), Queue: e.queues[key], Key: key, Partition: task.PartitionOf(key, task.DefaultPartitions), Seq: c.Seq,
			})
		}
	}
	return h
}

func resultOf(confirmed bool) history.Result {
	if confirmed {
		return history.OK
	}
	return history.Unknown
}

// judge checks what the history checker cannot know: every task ended, as it
// should; tallies count up without a gap, so no update was lost; and each result
// is the tally that its order made. It is pure, so that it can be tested.
func judge(submissions []submission, e *evidence) []string {
	var findings []string
	for i := range submissions {
		s := &submissions[i]
		status := e.status[s.id]
		switch {
		case status == nil: // The history checker says whether that is a loss.
		case !status.State.Final():
			findings = append(findings, fmt.Sprintf("order %d of %s did not end: it is %s (%s)", s.n, s.key, status.State, s.id))
		case s.reject != (status.State == fenfa.StateDead):
			findings = append(findings, fmt.Sprintf("order %d of %s ended as %s: %s (%s)", s.n, s.key, status.State, status.Error, s.id))
		}
	}
	for key, log := range e.logs {
		findings = append(findings, judgeTally(key, log, e)...)
	}
	return findings
}

// judgeTally checks that a tally counts from 1 without a gap, from version to
// greater version, and that each task returned the count that it made.
func judgeTally(key string, log []fenfa.Change, e *evidence) []string {
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
		if status := e.status[c.TaskID]; status != nil && string(status.Result) != want {
			findings = append(findings, fmt.Sprintf("%s: task %s made the count %s and returned %q", key, c.TaskID, want, status.Result))
		}
	}
	return findings
}
