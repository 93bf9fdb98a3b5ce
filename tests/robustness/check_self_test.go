package robustness

import (
	"strconv"
	"strings"
	"testing"

	fenfa "github.com/fenfa/fenfa"
)

// clean is the evidence of a run without a fault: four orders of one key, the
// third of which is rejected.
func clean() ([]submission, *evidence) {
	e := &evidence{status: map[fenfa.ID]*fenfa.TaskStatus{}, logs: map[string][]fenfa.Change{}}
	var submissions []submission
	done := 0
	for n := 1; n <= 4; n++ {
		s := submission{id: fenfa.DeriveID(strconv.Itoa(n)), key: "sku", n: n, reject: n == 3, confirmed: true}
		submissions = append(submissions, s)
		if s.reject {
			e.status[s.id] = &fenfa.TaskStatus{ID: s.id, State: fenfa.StateDead}
			continue
		}
		done++
		value := []byte(strconv.Itoa(done))
		e.status[s.id] = &fenfa.TaskStatus{ID: s.id, State: fenfa.StateDone, Result: value}
		for key, id := range map[string]fenfa.ID{"sku": s.id, "note-sku": noteID(s.id)} {
			e.logs[key] = append(e.logs[key], fenfa.Change{
				Seq: uint64(10 * done), TaskID: id, Value: value, VersionBefore: uint64(10 * (done - 1)), VersionAfter: uint64(10 * done),
			})
		}
	}
	return submissions, e
}

func TestARunWithoutAFaultIsClean(t *testing.T) {
	if findings := judge(clean()); len(findings) > 0 {
		t.Errorf("found %q", findings)
	}
}

func TestEveryBrokenPromiseIsFound(t *testing.T) {
	for name, tc := range map[string]struct {
		tamper func(s []submission, e *evidence)
		want   string
	}{
		"a confirmed order is lost": {func(s []submission, e *evidence) { e.status[s[0].id] = nil }, "is lost"},
		"an order never ends":       {func(s []submission, e *evidence) { e.status[s[1].id].State = fenfa.StateQueued }, "did not end"},
		"a good order is dead":      {func(s []submission, e *evidence) { e.status[s[1].id].State = fenfa.StateDead }, "ended as dead"},
		"a rejected order is done":  {func(s []submission, e *evidence) { e.status[s[2].id].State = fenfa.StateDone }, "ended as done"},
		"a result is another's":     {func(s []submission, e *evidence) { e.status[s[3].id].Result = []byte("2") }, "has the result"},
		"an effect happened twice":  {func(_ []submission, e *evidence) { e.logs["sku"] = append(e.logs["sku"], e.logs["sku"][2]) }, "took effect 2 times"},
		"an effect is missing":      {func(_ []submission, e *evidence) { e.logs["sku"] = e.logs["sku"][:2] }, "its effect is not there"},
		"two effects changed places": {func(_ []submission, e *evidence) {
			l := e.logs["sku"]
			l[0].TaskID, l[1].TaskID = l[1].TaskID, l[0].TaskID
		}, "its confirm was number"},
		"an effect came from nowhere": {func(_ []submission, e *evidence) { e.logs["sku"][0].TaskID = fenfa.DeriveID("nobody") }, "never submitted"},
		"an update was lost":          {func(_ []submission, e *evidence) { e.logs["sku"][2].Value = []byte("2") }, "counts"},
		"a version went back":         {func(_ []submission, e *evidence) { e.logs["sku"][2].VersionAfter = 5 }, "goes from version"},
		"a note is missing":           {func(_ []submission, e *evidence) { e.logs["note-sku"] = e.logs["note-sku"][:2] }, "note-sku"},
		"a note was written twice":    {func(_ []submission, e *evidence) { l := e.logs["note-sku"]; l[1].TaskID = l[0].TaskID }, "took effect 2 times"},
	} {
		t.Run(name, func(t *testing.T) {
			submissions, e := clean()
			tc.tamper(submissions, e)
			if findings := strings.Join(judge(submissions, e), "\n"); !strings.Contains(findings, tc.want) {
				t.Errorf("found %q, want something that %q", findings, tc.want)
			}
		})
	}
}
