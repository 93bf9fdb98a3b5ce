package robustness

import (
	"fmt"
	"slices"
	"testing"

	fenfa "github.com/fenfa/fenfa"
)

// maxFindings bounds how much of a broken run is told.
const maxFindings = 20

// check waits until everything has come to rest and fails the test for every
// promise that was broken to the submitters.
func check(t *testing.T, client *fenfa.Client, submissions []submission) {
	t.Helper()
	findings := judge(submissions, collect(t, client, submissions))
	for i, f := range findings {
		if i == maxFindings {
			t.Errorf("and %d more", len(findings)-i)
			break
		}
		t.Error(f)
	}
	t.Logf("checked %d orders: %d findings", len(submissions), len(findings))
}

// judge compares the evidence with what must be so: every confirmed order ended;
// the op log of each key shows each done order once, in the order of their
// confirms, counting up without a gap; results say the same; each done order has
// exactly one note. It is pure, so that it can be tested.
func judge(submissions []submission, e *evidence) []string {
	var findings []string
	found := func(format string, args ...any) { findings = append(findings, fmt.Sprintf(format, args...)) }

	byKey := map[string][]submission{}
	for _, s := range submissions {
		byKey[s.key] = append(byKey[s.key], s)
	}
	for key, ours := range byKey {
		slices.SortFunc(ours, func(a, b submission) int { return a.n - b.n })
		var done, noted []fenfa.ID
		for _, s := range ours {
			status := e.status[s.id]
			switch {
			case status == nil && s.confirmed:
				found("order %d of %s was confirmed and is lost (%s)", s.n, key, s.id)
			case status == nil:
			case !status.State.Final():
				found("order %d of %s did not end: it is %s (%s)", s.n, key, status.State, s.id)
			case s.reject != (status.State == fenfa.StateDead):
				found("order %d of %s ended as %s: %s (%s)", s.n, key, status.State, status.Error, s.id)
			case status.State == fenfa.StateDone:
				done, noted = append(done, s.id), append(noted, noteID(s.id))
				if want := fmt.Sprint(len(done)); string(status.Result) != want {
					found("order %d of %s has the result %q, want %s (%s)", s.n, key, status.Result, want, s.id)
				}
			}
		}
		findings = append(findings, judgeLog(key, e.logs[key], done, true)...)
		findings = append(findings, judgeLog("note-"+key, e.logs["note-"+key], noted, false)...)
	}
	return findings
}

// judgeLog compares the op log of one key's tally with the tasks that must have
// counted it up, in their order where order was promised.
func judgeLog(key string, log []fenfa.Change, want []fenfa.ID, ordered bool) []string {
	var findings []string
	found := func(format string, args ...any) { findings = append(findings, fmt.Sprintf(format, args...)) }

	place := map[fenfa.ID]int{}
	for i, id := range want {
		place[id] = i
	}
	seen := map[fenfa.ID]int{}
	version := uint64(0)
	for i, c := range log {
		at, ours := place[c.TaskID]
		switch seen[c.TaskID]++; {
		case !ours:
			found("%s: row %d is of %s, which is not done or was never submitted", key, i, c.TaskID)
		case seen[c.TaskID] > 1:
			found("%s: %s took effect %d times", key, c.TaskID, seen[c.TaskID])
		case ordered && at != i:
			found("%s: %s took effect as number %d, its confirm was number %d", key, c.TaskID, i+1, at+1)
		}
		if got := string(c.Value); got != fmt.Sprint(i+1) {
			found("%s: row %d counts %q", key, i+1, got)
		}
		if c.VersionBefore != version || c.VersionAfter <= version {
			found("%s: row %d goes from version %d to %d, the one before ended at %d", key, i, c.VersionBefore, c.VersionAfter, version)
		}
		version = c.VersionAfter
	}
	for _, id := range want {
		if seen[id] == 0 {
			found("%s: %s is done and its effect is not there", key, id)
		}
	}
	return findings
}
