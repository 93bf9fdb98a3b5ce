package fenfa

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestNewIDsAreVersion7AndDiffer(t *testing.T) {
	seen := make(map[ID]bool)
	for range 1000 {
		id := NewID()
		if id[6]>>4 != 7 || id[8]>>6 != 2 {
			t.Fatalf("%s is not a UUID of version 7", id)
		}
		if seen[id] {
			t.Fatalf("%s was made twice", id)
		}
		seen[id] = true
	}
}

func TestDerivedIDsNameTheirParts(t *testing.T) {
	if got := DeriveID("a", "b").String(); got != "3c9d5910-45bc-8876-b9d0-399bbfb05c6a" {
		t.Errorf("the ID of a and b is %s: it must never change", got)
	}
	for _, other := range [][]string{{"ab"}, {"a", "b", ""}, {"b", "a"}, {"", "ab"}} {
		if DeriveID(other...) == DeriveID("a", "b") {
			t.Errorf("parts %q have the ID of a and b", other)
		}
	}
	if id := DeriveID(strings.Repeat("x", 1000)); id[6]>>4 != 8 || id[8]>>6 != 2 {
		t.Errorf("%s is not a UUID of version 8", id)
	}
}

func TestIDsTravelAsText(t *testing.T) {
	id := NewID()
	b, err := json.Marshal(map[string]ID{"id": id})
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]ID
	if err := json.Unmarshal(b, &back); err != nil || back["id"] != id {
		t.Errorf("%s came back as %v, %v", b, back, err)
	}
	upper, err := ParseID(strings.ToUpper(id.String()))
	if err != nil || upper != id {
		t.Errorf("upper case: %v, %v", upper, err)
	}
	if !(ID{}).IsZero() || id.IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestParseIDRefusesWhatIsNoUUID(t *testing.T) {
	for _, s := range []string{"", "x", "0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f0", "0190a5f2_7b1c-7d3e-8f4a-5b6c7d8e9f01", "0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9fzz", strings.Repeat("x", 1000)} {
		var id ID
		if err := id.UnmarshalText([]byte(s)); CodeOf(err) != CodeInvalidArgument || len(err.Error()) > 300 {
			t.Errorf("%.40q: %v", s, err)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01")
	f.Add("0190A5F2-7B1C-7D3E-8F4A-5B6C7D8E9F01")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseID(s); err == nil && !strings.EqualFold(id.String(), s) {
			t.Errorf("%q was read as %s", s, id)
		}
	})
}
