package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fenfa/fenfa"
)

// memory is a node that remembers tasks by id, and refuses payloads that say so.
type memory struct {
	tasks map[fenfa.ID]*fenfa.Task
	order []string
	calls int
	down  int // the call from which on it is unavailable; 0: never
}

func (m *memory) SubmitBatch(_ context.Context, tasks []*fenfa.Task) ([]fenfa.SubmitResult, error) {
	m.calls++
	results := make([]fenfa.SubmitResult, len(tasks))
	if m.down > 0 && m.calls >= m.down {
		err := &fenfa.Error{Code: fenfa.CodeUnavailable, Message: "the node is gone"}
		for i := range results {
			results[i].Err = err
		}
		return results, err
	}
	for i, t := range tasks {
		results[i].ID = t.ID()
		switch {
		case strings.Contains(string(t.Payload()), "refuse"):
			results[i].Err = &fenfa.Error{Code: fenfa.CodeInvalidArgument, Message: "refused"}
		case m.tasks[t.ID()] != nil:
			results[i].Duplicate = true
		default:
			m.tasks[t.ID()] = t
			m.order = append(m.order, t.Key())
		}
	}
	return results, nil
}

// submitText submits a file to a node.
func submitText(t *testing.T, m *memory, text string, flags submitFlags) (sum summary, stderr string, err error) {
	t.Helper()
	flags.queue, flags.file = "orders", "orders.csv"
	if flags.encoding == "" {
		flags.encoding = "utf-8"
	}
	if flags.onError == "" {
		flags.onError = "stop"
	}
	reader, err := flags.reader(strings.NewReader(text))
	if err != nil {
		return summary{}, "", err
	}
	var errOut bytes.Buffer
	run := &fileSubmit{flags: &flags, client: m, errOut: &errOut}
	err = run.verdict(run.run(t.Context(), reader))
	return run.sum, errOut.String(), err
}

func newMemory() *memory { return &memory{tasks: make(map[fenfa.ID]*fenfa.Task)} }

func TestSecondSubmitOfAFileChangesNothing(t *testing.T) {
	var text strings.Builder
	text.WriteString("sku,n\n")
	for i := range 1200 {
		fmt.Fprintf(&text, "s%d,%d\n", i%7, i%600) // Each row is there twice.
	}
	m := newMemory()
	sum, _, err := submitText(t, m, text.String(), submitFlags{keyColumn: "sku"})
	if err != nil || sum.Rows != 1200 || sum.Accepted != 1200 || sum.Duplicate != 0 {
		t.Fatalf("first submit: %+v, %v", sum, err)
	}
	if m.calls != 3 || m.order[0] != "s0" || m.order[8] != "s1" {
		t.Errorf("%d calls, first keys %v", m.calls, m.order[:10])
	}
	sum, _, err = submitText(t, m, text.String(), submitFlags{keyColumn: "sku"})
	if err != nil || sum.Rows != 1200 || sum.Accepted != 0 || sum.Duplicate != 1200 {
		t.Fatalf("second submit: %+v, %v", sum, err)
	}
}

func TestFaultyRowStopsOrIsSkipped(t *testing.T) {
	const text = "sku,n\na,1\nb,2,3\nc,refuse\nd,4\n"
	m := newMemory()
	sum, stderr, err := submitText(t, m, text, submitFlags{})
	if exitCode(err) != exitRefused || sum.Accepted != 1 || sum.Malformed != 1 || sum.Refused != 0 || !sum.Stopped || len(m.tasks) != 1 {
		t.Errorf("stop: %+v, %d tasks, %v", sum, len(m.tasks), err)
	}
	if want := "orders.csv line 3: the row has 3 fields, the header has 2"; err.Error() != want || stderr != "" {
		t.Errorf("got %q, and before it %q; want only %q", err, stderr, want)
	}
	m = newMemory()
	sum, stderr, err = submitText(t, m, text, submitFlags{onError: "skip"})
	if exitCode(err) != exitRefused || sum.Rows != 4 || sum.Accepted != 2 || sum.Malformed != 1 || sum.Refused != 1 || sum.Stopped {
		t.Errorf("skip: %+v, %v", sum, err)
	}
	if want := "line 3: the row has 3 fields, the header has 2\nline 4: refused\n"; stderr != want {
		t.Errorf("standard error is %q, want %q", stderr, want)
	}
}

func TestRefusedRowStopsAfterItsBatch(t *testing.T) {
	m := newMemory()
	sum, _, err := submitText(t, m, "sku\nrefuse\n"+strings.Repeat("a\n", 2000), submitFlags{})
	if exitCode(err) != exitRefused || m.calls != 1 || sum.Refused != 1 || sum.Accepted != fileBatch-1 {
		t.Errorf("%d calls, %+v, %v", m.calls, sum, err)
	}
}

func TestLostNodeLeavesTheRestForTheNextTime(t *testing.T) {
	text := "n\n" + strings.Repeat("a\n", 1200)
	m := newMemory()
	m.down = 2
	sum, _, err := submitText(t, m, text, submitFlags{onError: "skip"})
	if exitCode(err) != exitUnavailable || sum.Accepted != fileBatch || !strings.Contains(hintOf(err), "same file again") {
		t.Errorf("%+v, %v, hint %q", sum, err, hintOf(err))
	}
	m.down = 0
	sum, _, err = submitText(t, m, text, submitFlags{})
	if err != nil || sum.Duplicate != fileBatch || sum.Accepted != 700 {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestFileThatCannotBeReadIsRefusedBeforeAnything(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		flags submitFlags
		want  string
		hint  string
	}{
		"column":   {"sku,n\n", submitFlags{keyColumn: "sk"}, `orders.csv: the file has no column "sk"; it has ["sku" "n"]`, "did you mean sku?"},
		"empty":    {"", submitFlags{}, "orders.csv: line 1: the file is empty: want a header with the names of the columns", "nothing was submitted"},
		"encoding": {"", submitFlags{encoding: "ebcdic"}, `--encoding: encoding "ebcdic" is not known: want utf-8 or latin-1`, ""},
	} {
		_, _, err := submitText(t, newMemory(), c.text, c.flags)
		if err == nil || err.Error() != c.want || hintOf(err) != c.hint {
			t.Errorf("%s: got %v with hint %q", name, err, hintOf(err))
		}
	}
}

func TestOnlySoManyFaultsAreListed(t *testing.T) {
	sum, stderr, err := submitText(t, newMemory(), "a,b\n"+strings.Repeat("1\n", 500), submitFlags{onError: "skip"})
	if err == nil || sum.Malformed != 500 || len(sum.Faults) != maxFaults || strings.Count(stderr, "\n") != maxFaults {
		t.Errorf("%d malformed, %d listed, %v", sum.Malformed, len(sum.Faults), err)
	}
}

func TestInterruptedSubmitEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	flags := submitFlags{queue: "q", file: "x.csv", encoding: "utf-8", onError: "stop"}
	reader, err := flags.reader(strings.NewReader("a\n" + strings.Repeat("1\n", 5000)))
	if err != nil {
		t.Fatal(err)
	}
	run := &fileSubmit{flags: &flags, client: &canceled{}, errOut: &bytes.Buffer{}}
	if err := run.run(ctx, reader); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// canceled is a client whose context has ended.
type canceled struct{}

func (*canceled) SubmitBatch(ctx context.Context, tasks []*fenfa.Task) ([]fenfa.SubmitResult, error) {
	return make([]fenfa.SubmitResult, len(tasks)), ctx.Err()
}

func TestRowsRefusedTogetherAreNamedOnceEach(t *testing.T) {
	_, stderr, err := submitText(t, newMemory(), "sku\nrefuse\na\nrefuse\n", submitFlags{})
	if want := "orders.csv line 2: refused"; err == nil || err.Error() != want || stderr != "line 4: refused\n" {
		t.Errorf("got %v, and before it %q", err, stderr)
	}
}

func TestARowAtFaultIsNamedWhereSomethingWorseFollows(t *testing.T) {
	var errOut bytes.Buffer
	run := &fileSubmit{flags: &submitFlags{onError: "stop"}, errOut: &errOut}
	if err := run.fault(7, "refused"); !errors.Is(err, errStopped) {
		t.Fatal(err)
	}
	if err := run.verdict(context.Canceled); !errors.Is(err, context.Canceled) || errOut.String() != "line 7: refused\n" {
		t.Errorf("got %v, and before it %q", err, errOut.String())
	}
}

func TestStandardInputIsNamedInWords(t *testing.T) {
	flags := submitFlags{queue: "q", file: "-", encoding: "utf-8"}
	if _, err := flags.reader(strings.NewReader("a\n")); err == nil || !strings.HasPrefix(err.Error(), "standard input ") {
		t.Errorf("no format: %v", err)
	}
	flags.format = "csv"
	if _, err := flags.reader(strings.NewReader("")); err == nil || !strings.HasPrefix(err.Error(), "standard input: ") {
		t.Errorf("no header: %v", err)
	}
}

func TestTasksThatWereThereAreTold(t *testing.T) {
	var out bytes.Buffer
	tellDuplicates(&out, []submittedView{{ID: "a"}, {ID: "b", Duplicate: true, State: fenfa.StateDone}})
	if want := "task b was there already (done): nothing was changed\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestSubmitForLaterSaysWhatItWants(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no moment":           {[]string{"--run-at", "tomorrow", "x"}, "is not a moment"},
		"no end":              {[]string{"--expires-at", "2027-01-02", "x"}, "--expires-at"},
		"both":                {[]string{"--run-at", "2027-01-02T15:04:05Z", "--delay", "1s", "x"}, "do not go together"},
		"negative":            {[]string{"--delay", "-1s", "x"}, "want more than 0"},
		"a delay of a repeat": {[]string{"--delay", "1s", "--id", anID, "x"}, "--run-at"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, problems strings.Builder
			code := run(append([]string{"submit", "--queue", "mail"}, tc.args...), streams{in: strings.NewReader(""), out: &out, err: &problems})
			if code != exitUsage || !strings.Contains(problems.String(), tc.want) {
				t.Errorf("exit code %d: %s", code, problems.String())
			}
		})
	}
}
