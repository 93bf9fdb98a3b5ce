package task

import (
	"strings"
	"testing"
)

func TestNamesOfRecordsOfTheNodeAreRefused(t *testing.T) {
	f := Fence{Lock: strings.Repeat("l", MaxKey), Token: 1}
	for _, name := range []string{LockRecord, f.Record(), ReservedPrefix + "other"} {
		if err := CheckRecordName(name); CodeOf(err) != CodeInvalidArgument || !Reserved(name) {
			t.Errorf("%s: %v", name, err)
		}
		if err := ValidateRecord("k", name, 0); err != nil {
			t.Errorf("%s is no name of a record: %v", name, err)
		}
	}
	for _, name := range []string{"fenfa", "a.fenfa.", "lock"} {
		if err := CheckRecordName(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEachLockHasAFenceOfItsOwn(t *testing.T) {
	a, b := Fence{Lock: "a", Token: 1}, Fence{Lock: "b", Token: 1}
	if a.Record() == b.Record() || a.Record() != (&Fence{Lock: "a", Token: 2}).Record() {
		t.Errorf("records %s and %s", a.Record(), b.Record())
	}
}

func TestBadFencesAreRefused(t *testing.T) {
	good := Fence{Lock: "l", Token: 1}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, f := range []Fence{{Token: 1}, {Lock: "l"}, {Lock: strings.Repeat("l", MaxKey+1), Token: 1}} {
		if err := f.Validate(); CodeOf(err) != CodeInvalidArgument {
			t.Errorf("%+v: %v", f, err)
		}
	}
}
