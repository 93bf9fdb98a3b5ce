package fenfa_test

import (
	"testing"
	"testing/quick"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/task"
)

func TestDerivedIDsAreThoseOfTheNode(t *testing.T) {
	same := func(parts []string) bool {
		return fenfa.DeriveID(parts...) == fenfa.ID(task.DeriveID(parts...))
	}
	if err := quick.Check(same, nil); err != nil {
		t.Error(err)
	}
}

func TestCodesAreThoseOfTheNode(t *testing.T) {
	for c := task.CodeUnknown; c <= task.CodeStale; c++ {
		if got := fenfa.Code(c).String(); got != c.String() {
			t.Errorf("code %d is %q here and %q there", c, got, c)
		}
	}
	if fenfa.CodeStale != fenfa.Code(task.CodeStale) {
		t.Error("the codes end differently")
	}
}
