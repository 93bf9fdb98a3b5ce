package robustness

import (
	"strconv"
	"strings"
	"testing"
	"time"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/history"
)

// clean is the evidence of a run without a fault: four orders of one key, the
// third of which is rejected.
func clean() ([]submission, *evidence) {
	e := newEvidence()
	e.queues["sku"], e.queues["note-sku"] = orders, notes
	begin := time.Unix(1_700_000_000, 0)
	var submissions []submission
	done := 0
	for n := 1; n <= 4; n++ {
		s := submission{
			id: fenfa.DeriveID(strconv.Itoa(n)), key: "sku", n: n, reject: n == 3, confirmed: true,
			start: begin.Add(time.Duration(n) * time.Second), end: begin.Add(time.Duration(n)*time.Second + time.Millisecond),
		}
		submissions = append(submissions, s)
		if s.reject {
			e.status[s.id] = &fenfa.TaskStatus{ID: s.id, State: fenfa.StateDead}
			continue
		}
		done++
		value := []byte(strconv.Itoa(done))
		for key, id := range map[string]fenfa.ID{"sku": s.id, "note-sku": noteID(s.id)} {
			e.status[id] = &fenfa.TaskStatus{ID: id, State: fenfa.StateDone, Result: value}
			e.logs[key] = append(e.logs[key], fenfa.Change{
				Seq: uint64(10 * done), TaskID: id, Value: value, VersionBefore: uint64(10 * (done - 1)), VersionAfter: uint64(10 * done),
			})
		}
	}
	return submissions, e
}

// findings is all that the checks of a run say.
func findings(submissions []submission, e *evidence) string {
	all := judge(submissions, e)
	report := history.Check(historyOf(submissions, e))
	if !report.OK() {
		all = append(all, report.String())
	}
	return strings.Join(all, "\n")
}

func TestARunWithoutAFaultIsClean(t *testing.T) {
	if found := findings(clean()); found != "" {
		t.Errorf("found %s", found)
	}
}

func TestEveryBrokenPromiseIsFound(t *testing.T) {
	for name, tc := range map[string]struct {
		tamper func(s []submission, e *evidence)
		want   string
	}{
		"a confirmed order is lost":  {func(s []submission, e *evidence) { e.status[s[0].id] = nil }, "lost:"},
		"an order never ends":        {func(s []submission, e *evidence) { e.status[s[1].id].State = fenfa.StateQueued }, "did not end"},
		"a good order is dead":       {func(s []submission, e *evidence) { e.status[s[1].id].State = fenfa.StateDead }, "ended as dead"},
		"a rejected order is done":   {func(s []submission, e *evidence) { e.status[s[2].id].State = fenfa.StateDone }, "ended as done"},
		"a result is another's":      {func(s []submission, e *evidence) { e.status[s[3].id].Result = []byte("2") }, `returned "2"`},
		"an effect happened twice":   {func(_ []submission, e *evidence) { e.logs["sku"] = append(e.logs["sku"], e.logs["sku"][2]) }, "twice:"},
		"an effect is missing":       {func(_ []submission, e *evidence) { e.logs["sku"] = e.logs["sku"][:2] }, "missing:"},
		"two effects changed places": {func(_ []submission, e *evidence) { swap(e.logs["sku"]) }, "order:"},
		"an effect from nowhere":     {func(_ []submission, e *evidence) { e.logs["sku"][0].TaskID = fenfa.DeriveID("nobody") }, "nowhere:"},
		"an update was lost":         {func(_ []submission, e *evidence) { e.logs["sku"][2].Value = []byte("2") }, "counts"},
		"a version went back":        {func(_ []submission, e *evidence) { e.logs["sku"][2].VersionAfter = 5 }, "goes from version"},
		"a note is missing":          {func(_ []submission, e *evidence) { e.logs["note-sku"] = e.logs["note-sku"][:2] }, "missing:"},
		"a note is lost": {func(s []submission, e *evidence) {
			e.logs["note-sku"] = e.logs["note-sku"][:2]
			e.status[noteID(s[3].id)] = nil
		}, "lost:"},
		"a note of a rejected order": {func(s []submission, e *evidence) {
			e.status[noteID(s[2].id)] = &fenfa.TaskStatus{State: fenfa.StateDone}
		}, "missing:"},
	} {
		t.Run(name, func(t *testing.T) {
			submissions, e := clean()
			tc.tamper(submissions, e)
			if found := findings(submissions, e); !strings.Contains(found, tc.want) {
				t.Errorf("found %q, want something with %q", found, tc.want)
			}
		})
	}
}

// swap lets the first two tasks of a log change places.
func swap(log []fenfa.Change) { log[0].TaskID, log[1].TaskID = log[1].TaskID, log[0].TaskID }
