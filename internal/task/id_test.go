package task_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

func TestNewIDsAreVersion7AndSortByTime(t *testing.T) {
	begin := time.UnixMilli(1_700_000_000_000)
	var ids []task.ID
	for i := range 1000 {
		now := begin.Add(time.Duration(i) * time.Millisecond)
		id := task.NewID(now)
		if ms, ok := id.Millis(); !ok || ms != uint64(now.UnixMilli()) {
			t.Fatalf("%s says %d (%t), want %d", id, ms, ok, now.UnixMilli())
		}
		if s := id.String(); s[14] != '7' || !strings.ContainsRune("89ab", rune(s[19])) {
			t.Fatalf("%s is not a version 7 UUID", s)
		}
		ids = append(ids, id)
	}
	if !slices.IsSortedFunc(ids, task.ID.Compare) {
		t.Error("IDs of later milliseconds do not sort behind earlier ones")
	}
}

func TestNewIDsOfOneMillisecondDiffer(t *testing.T) {
	seen := map[task.ID]bool{}
	for range 10_000 {
		id := task.NewID(time.UnixMilli(1_700_000_000_000))
		if seen[id] {
			t.Fatalf("%s was given twice", id)
		}
		seen[id] = true
	}
}

func TestADerivedIDDependsOnEachPart(t *testing.T) {
	base := task.DeriveID("file", "line 1")
	if base != task.DeriveID("file", "line 1") {
		t.Error("the same parts give different IDs")
	}
	if s := base.String(); s[14] != '8' {
		t.Errorf("%s is not a version 8 UUID", s)
	}
	if _, ok := base.Millis(); ok {
		t.Errorf("%s claims to hold a time", base)
	}
	for _, parts := range [][]string{{"file", "line 2"}, {"filel", "ine 1"}, {"fileline 1"}, {"line 1", "file"}, {"file", "line 1", ""}, nil} {
		if task.DeriveID(parts...) == base {
			t.Errorf("the parts %q give the same ID as others", parts)
		}
	}
}

// TestADerivedIDNeverChanges holds the derivation itself: who submits a file
// again after an upgrade must meet the first submit.
func TestADerivedIDNeverChanges(t *testing.T) {
	const want = "072c2f9d-edf4-89e1-80ee-6b4e6c456fed"
	if got := task.DeriveID("fenfa", "1").String(); got != want {
		t.Errorf("DeriveID gives %s, gave %s", got, want)
	}
}

func TestIDsReadAsTheyAreWritten(t *testing.T) {
	for range 100 {
		id := task.NewID(time.UnixMilli(1_700_000_000_000))
		for _, s := range []string{id.String(), strings.ToUpper(id.String())} {
			if got, err := task.ParseID(s); err != nil || got != id {
				t.Errorf("ParseID(%q) = %s, %v", s, got, err)
			}
		}
	}
	text, err := json.Marshal(map[string]task.ID{"id": task.DeriveID("x")})
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]task.ID
	if err := json.Unmarshal(text, &back); err != nil || back["id"] != task.DeriveID("x") {
		t.Errorf("JSON %s reads as %v (%v)", text, back, err)
	}
}

func TestWhatIsNotAnIDIsRefused(t *testing.T) {
	good := task.DeriveID("x").String()
	for _, s := range []string{
		"", "x", good[:35], good + "0", strings.ReplaceAll(good, "-", ""), strings.Replace(good, "-", "_", 1),
		"g" + good[1:], good[:9] + "-" + good[10:], "{" + good + "}", strings.Repeat("0", 10_000),
	} {
		_, err := task.ParseID(s)
		if task.CodeOf(err) != task.CodeInvalidArgument {
			t.Errorf("ParseID(%.40q) gives %v, want an invalid argument", s, err)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("the error repeats %d bytes of input", len(err.Error()))
		}
	}
	var id task.ID
	if err := json.Unmarshal([]byte(`"nonsense"`), &id); err == nil || !id.IsZero() {
		t.Errorf("nonsense reads as %s (%v)", id, err)
	}
}

func FuzzParseID(f *testing.F) {
	f.Add(task.DeriveID("x").String())
	f.Add("0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := task.ParseID(s)
		if err != nil {
			return
		}
		if id.String() != strings.ToLower(s) {
			t.Errorf("%q reads as %s", s, id)
		}
	})
}

func TestCodeOfFindsTheCodeInAChain(t *testing.T) {
	cause := errors.New("cause")
	refusal := task.Errorf(task.CodeTooLarge, "too large: %w", cause).WithField("payload").WithRetryAfter(time.Second)
	wrapped := errors.Join(errors.New("other"), refusal)
	if got := task.CodeOf(wrapped); got != task.CodeTooLarge {
		t.Errorf("CodeOf gives %s, want too_large", got)
	}
	if !errors.Is(wrapped, cause) || refusal.Error() != "too large: cause" || refusal.Field != "payload" || refusal.RetryAfter != time.Second {
		t.Errorf("the error is %+v", refusal)
	}
	if got := task.CodeOf(cause); got != task.CodeInternal {
		t.Errorf("a plain error is %s, want internal", got)
	}
}

func TestNamesOfCodesAndStatesAreThoseOfTheAPI(t *testing.T) {
	want := "unknown invalid_argument not_found already_exists conflict failed_precondition resource_exhausted too_large unavailable unimplemented internal stale unauthenticated permission_denied unknown"
	var names []string
	for c := task.CodeUnknown; c <= task.CodePermissionDenied+1; c++ {
		names = append(names, c.String())
	}
	if got := strings.Join(names, " "); got != want {
		t.Errorf("codes are %s, want %s", got, want)
	}
	want = "unknown queued scheduled ready running done dead cancelled expired unknown"
	names = nil
	for s := task.StateUnknown; s <= task.StateExpired+1; s++ {
		names = append(names, s.String())
	}
	if got := strings.Join(names, " "); got != want {
		t.Errorf("states are %s, want %s", got, want)
	}
	for s := task.StateUnknown; s <= task.StateExpired; s++ {
		final := s == task.StateDone || s == task.StateDead || s == task.StateCancelled || s == task.StateExpired
		if s.Final() != final {
			t.Errorf("%s is final: %t", s, s.Final())
		}
	}
}
