package fenfa

import (
	"testing"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

func TestAViewKnowsWhatTheNodeSaidAndWhatWasWrittenOverIt(t *testing.T) {
	v := newView(nil, "k", []*fenfav1.Record{
		{Key: "k", Name: "a", Version: 7, Value: []byte("a7")},
		{Name: "b", Version: 8, Value: []byte("b8")},
		{Key: "other", Name: "c", Version: 9},
	}, true)
	v.merge([]*fenfav1.Write{{Name: "b", Value: []byte("new"), ExpectedVersion: 8}, {Name: "none", Delete: true}})
	for name, want := range map[string]cell{
		"a":    {value: []byte("a7"), version: 7, exists: true},
		"b":    {value: []byte("new"), exists: true, chained: true},
		"c":    {},
		"none": {},
	} {
		got, err := v.lookup(t.Context(), name)
		if err != nil || string(got.value) != string(want.value) || got.version != want.version || got.exists != want.exists || got.chained != want.chained {
			t.Errorf("%s is %+v, %v; want %+v", name, got, err, want)
		}
	}
	v.merge([]*fenfav1.Write{{Name: "a", Delete: true, ExpectedVersion: 7}})
	if c, _ := v.peek("a"); c.exists || !c.chained {
		t.Errorf("a deleted record is %+v", c)
	}
}
