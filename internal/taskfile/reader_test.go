package taskfile_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/taskfile"
)

// readAll returns every row and every malformed row of a file.
func readAll(t *testing.T, text string, cfg taskfile.Config) (rows []taskfile.Row, bad []*taskfile.RowError) {
	t.Helper()
	if cfg.Queue == "" {
		cfg.Queue = "orders"
	}
	r, err := taskfile.NewReader(strings.NewReader(text), cfg)
	if err != nil {
		t.Fatalf("NewReader: %v", err)
	}
	for {
		row, err := r.Next()
		switch rowErr := taskfile.AsRowError(err); {
		case errors.Is(err, io.EOF):
			return rows, bad
		case rowErr != nil:
			bad = append(bad, rowErr)
		case err != nil:
			t.Fatalf("Next: %v", err)
		default:
			rows = append(rows, row)
		}
	}
}

func TestCSVRowsBecomeObjects(t *testing.T) {
	for name, c := range map[string]struct {
		text     string
		encoding taskfile.Encoding
		want     []string
		lines    []int
	}{
		"plain":            {text: "a,b\n1,x\n2,y\n", want: []string{`{"a":"1","b":"x"}`, `{"a":"2","b":"y"}`}, lines: []int{2, 3}},
		"no last line end": {text: "a,b\n1,x", want: []string{`{"a":"1","b":"x"}`}, lines: []int{2}},
		"crlf":             {text: "a,b\r\n1,x\r\n", want: []string{`{"a":"1","b":"x"}`}, lines: []int{2}},
		"byte order mark":  {text: "\xef\xbb\xbfa,b\n1,x\n", want: []string{`{"a":"1","b":"x"}`}, lines: []int{2}},
		"blank lines":      {text: "a\n\n1\n\n\n2\n", want: []string{`{"a":"1"}`, `{"a":"2"}`}, lines: []int{3, 6}},
		"empty fields":     {text: "a,b\n,\n", want: []string{`{"a":"","b":""}`}, lines: []int{2}},
		"comma in quotes":  {text: "a,b\n\"1,2\",x\n", want: []string{`{"a":"1,2","b":"x"}`}, lines: []int{2}},
		"quote in quotes":  {text: "a\n\"5\"\" pipe\"\n", want: []string{`{"a":"5\" pipe"}`}, lines: []int{2}},
		"line in quotes":   {text: "a,b\n\"1\n2\",x\n3,y\n", want: []string{`{"a":"1\n2","b":"x"}`, `{"a":"3","b":"y"}`}, lines: []int{2, 4}},
		"markup":           {text: "a\n<b>&\n", want: []string{`{"a":"<b>&"}`}, lines: []int{2}},
		"utf-8":            {text: "a\ncafé 分发\n", want: []string{`{"a":"café 分发"}`}, lines: []int{2}},
		"latin-1":          {text: "a\ncaf\xe9 \xa3\n", encoding: taskfile.Latin1, want: []string{`{"a":"café £"}`}, lines: []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			rows, bad := readAll(t, c.text, taskfile.Config{Format: taskfile.CSV, Encoding: c.encoding})
			if len(bad) > 0 {
				t.Fatalf("malformed rows: %v", bad)
			}
			var got []string
			var lines []int
			for _, row := range rows {
				got, lines = append(got, string(row.Payload)), append(lines, row.Line)
			}
			if !slices.Equal(got, c.want) || !slices.Equal(lines, c.lines) {
				t.Errorf("got %q on lines %v, want %q on %v", got, lines, c.want, c.lines)
			}
		})
	}
}

func TestMalformedRowCostsOneRowAndNamesItsLine(t *testing.T) {
	for name, c := range map[string]struct {
		format taskfile.Format
		text   string
		bad    string // of the only malformed row
		good   int
	}{
		"too few fields":     {taskfile.CSV, "a,b\n1\n2,y\n", "line 2: the row has 1 fields, the header has 2", 1},
		"too many fields":    {taskfile.CSV, "a,b\n1,x\n1,2,3\n2,y\n", "line 3: the row has 3 fields, the header has 2", 2},
		"bare quote":         {taskfile.CSV, "a,b\n5\" pipe,x\n2,y\n", `line 2: a field without quotes has a quote in it; write "" inside quotes`, 1},
		"text after quote":   {taskfile.CSV, "a,b\n\"1\"x,x\n2,y\n", "line 2: there is text between a closing quote and the next comma", 1},
		"quote never closed": {taskfile.CSV, "a,b\n\"1,x\n2,y\n3,z\n", "line 2: a quoted field is not closed", 2},
		"not utf-8":          {taskfile.CSV, "a,b\ncaf\xe9,x\n2,y\n", "line 2: the line is not valid UTF-8; is the file in another encoding, such as latin-1?", 1},
		"bad line in quotes": {taskfile.CSV, "a,b\n\"1\n\xff\",x\n2,y\n", "line 2: a quoted field is not closed", 1},
		"not json":           {taskfile.NDJSON, "{\"a\":1}\n{a:1}\n[2]\n", "line 2: the line is not JSON: invalid character 'a' looking for beginning of object key string", 2},
		"payload too large":  {taskfile.NDJSON, `"` + strings.Repeat("x", task.MaxPayload) + "\"\n1\n", "line 1: the payload has 1048578 bytes; at most 1048576 are allowed", 1},
		"line too long":      {taskfile.NDJSON, strings.Repeat("x", 9<<20) + "\n1\n", "line 1: the line is longer than 8388608 bytes", 1},
	} {
		t.Run(name, func(t *testing.T) {
			rows, bad := readAll(t, c.text, taskfile.Config{Format: c.format})
			if len(bad) == 0 || bad[0].Error() != c.bad {
				t.Fatalf("got %v, want first %q", bad, c.bad)
			}
			if name != "bad line in quotes" && len(bad) != 1 {
				t.Errorf("%d malformed rows, want 1: %v", len(bad), bad)
			}
			if len(rows) != c.good {
				t.Errorf("%d rows are good, want %d", len(rows), c.good)
			}
		})
	}
}

func TestOpenQuoteIsBounded(t *testing.T) {
	var text strings.Builder
	text.WriteString("a,b\n\"1,x\n")
	for range 1000 {
		text.WriteString("2,y\n")
	}
	rows, bad := readAll(t, text.String(), taskfile.Config{Format: taskfile.CSV})
	if len(rows) != 1000 || len(bad) != 1 || bad[0].Line != 2 {
		t.Errorf("%d rows and faults %v, want 1000 rows and one fault on line 2", len(rows), bad)
	}
}

func TestHeaderMustNameColumns(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty file":   {"", "line 1: the file is empty: want a header with the names of the columns"},
		"empty name":   {"a,,c\n", `line 1: column 2 of the header is "": want a name that no other column has`},
		"name twice":   {"a,b,a\n", `line 1: column 3 of the header is "a": want a name that no other column has`},
		"missing key":  {"a,b\n", `the file has no column "SKU"; it has ["a" "b"]`},
		"broken quote": {"\"a,b\n", "line 1: a quoted field is not closed"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := taskfile.Config{Queue: "orders", Format: taskfile.CSV, KeyField: "SKU"}
			_, err := taskfile.NewReader(strings.NewReader(c.text), cfg)
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestKeyAndIdentifierComeFromFields(t *testing.T) {
	const uuid = "0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01"
	for name, c := range map[string]struct {
		format taskfile.Format
		text   string
	}{
		"csv":    {taskfile.CSV, "no,sku\n" + uuid + ",s1\n7,s2\n,s3\n8,\n"},
		"ndjson": {taskfile.NDJSON, `{"no":"` + uuid + `","sku":"s1"}` + "\n" + `{"no":7,"sku":"s2"}` + "\n{\"sku\":\"s3\"}\n{\"no\":8,\"sku\":null}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			rows, bad := readAll(t, c.text, taskfile.Config{Format: c.format, KeyField: "sku", IDField: "no"})
			if len(rows) != 2 || len(bad) != 2 {
				t.Fatalf("%d rows and %d malformed ones, want 2 and 2", len(rows), len(bad))
			}
			if rows[0].ID.String() != uuid || rows[0].Key != "s1" || rows[1].Key != "s2" {
				t.Errorf("rows are %s/%s and %s/%s", rows[0].ID, rows[0].Key, rows[1].ID, rows[1].Key)
			}
			if want := taskfile.NewIdentity("orders").Named("no", "7"); rows[1].ID != want {
				t.Errorf("id %s, want %s", rows[1].ID, want)
			}
		})
	}
}

func TestSameFileNamesTheSameTasks(t *testing.T) {
	ids := func(text string, cfg taskfile.Config) []task.ID {
		var out []task.ID
		rows, _ := readAll(t, text, cfg)
		for _, row := range rows {
			out = append(out, row.ID)
		}
		return out
	}
	plain := taskfile.Config{Format: taskfile.CSV}
	first := ids("a,b\n1,x\n1,x\n2,y\n", plain)
	if distinct := map[task.ID]bool{first[0]: true, first[1]: true, first[2]: true}; len(distinct) != 3 {
		t.Fatalf("equal rows share an id: %v", first)
	}
	if again := ids("a,b\r\n\"1\",x\r\n1,\"x\"\r\n2,y\r\n", plain); !slices.Equal(again, first) {
		t.Errorf("another quoting names other tasks: %v and %v", again, first)
	}
	if more := ids("a,b\n0,w\n1,x\n2,y\n1,x\n", plain); more[1] != first[0] || more[2] != first[2] || more[3] != first[1] {
		t.Errorf("rows that were there before have other ids: %v and %v", more, first)
	}
	if other := ids("a,b\n1,x\n", taskfile.Config{Format: taskfile.CSV, Queue: "returns"}); other[0] == first[0] {
		t.Error("another queue has the same ids")
	}
	utf8 := ids("a\ncafé\n", plain)
	latin1 := ids("a\ncaf\xe9\n", taskfile.Config{Format: taskfile.CSV, Encoding: taskfile.Latin1})
	if !slices.Equal(utf8, latin1) {
		t.Error("another encoding names other tasks")
	}
}

// The rule of Identity is a promise to everybody who submits a file twice, with
// different versions of fenfa: it must not change.
func TestIdentityIsStable(t *testing.T) {
	d := taskfile.NewIdentity("orders")
	for i, want := range []string{goldenFirst, goldenSecond} {
		if got := d.Next([]byte(`{"a":"1"}`)).String(); got != want {
			t.Errorf("occurrence %d has id %s, want %s", i+1, got, want)
		}
	}
}

const (
	goldenFirst  = "a2d65892-475d-8d0e-977f-0becd6f5e795"
	goldenSecond = "c9cbf4ae-6e79-8f05-902a-6e015476257f"
)

func TestFormatAndEncodingAreNamed(t *testing.T) {
	for path, want := range map[string]taskfile.Format{"a.csv": taskfile.CSV, "b/A.CSV": taskfile.CSV, "a.ndjson": taskfile.NDJSON, "a.jsonl": taskfile.NDJSON} {
		if got, err := taskfile.FormatOf(path); got != want || err != nil {
			t.Errorf("FormatOf(%q) is %q, %v", path, got, err)
		}
	}
	if _, err := taskfile.FormatOf("orders"); err == nil {
		t.Error("a name without an extension has a format")
	}
	for name, want := range map[string]taskfile.Encoding{"utf8": taskfile.UTF8, "UTF-8": taskfile.UTF8, "latin-1": taskfile.Latin1, "ISO-8859-1": taskfile.Latin1} {
		if got, err := taskfile.ParseEncoding(name); got != want || err != nil {
			t.Errorf("ParseEncoding(%q) is %q, %v", name, got, err)
		}
	}
	if _, err := taskfile.ParseEncoding("utf-16"); err == nil {
		t.Error("utf-16 is accepted")
	}
	if taskfile.DetectEncoding([]byte("caf\xe9")) != taskfile.Latin1 || taskfile.DetectEncoding([]byte("café")) != taskfile.UTF8 {
		t.Error("DetectEncoding is wrong")
	}
}

func TestStreamErrorEndsTheFile(t *testing.T) {
	broken := errors.New("cable cut")
	in := io.MultiReader(strings.NewReader("a\n1\n"), iotestErrReader{broken})
	r, err := taskfile.NewReader(in, taskfile.Config{Queue: "q", Format: taskfile.CSV})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil {
		t.Fatalf("first row: %v", err)
	}
	if _, err := r.Next(); !errors.Is(err, broken) || taskfile.AsRowError(err) != nil {
		t.Errorf("got %v, want %v", err, broken)
	}
}

type iotestErrReader struct{ err error }

func (r iotestErrReader) Read([]byte) (int, error) { return 0, r.err }

// Whatever encoding/csv reads without complaint must be read here in the same
// way; and every input must end, with JSON in every payload.
func FuzzCSV(f *testing.F) {
	f.Add("a,b\n1,x\n\"2\n3\",\"y\"\"z\"\n")
	f.Add("a\n\"never closed\n1\n2\n")
	f.Add("\xef\xbb\xbfa\r\n\r\n\xff\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := taskfile.NewReader(strings.NewReader(text), taskfile.Config{Queue: "q", Format: taskfile.CSV})
		if err != nil {
			return
		}
		var got [][]string
		clean := true
		for {
			row, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if taskfile.AsRowError(err) != nil {
				clean = false
				continue
			}
			if err != nil {
				t.Fatalf("Next: %v", err)
			}
			if !json.Valid(row.Payload) {
				t.Fatalf("payload is not JSON: %q", row.Payload)
			}
			got = append(got, row.Fields)
		}
		if !clean || strings.ContainsAny(text, "\r") || strings.HasPrefix(text, "\xef\xbb\xbf") {
			return
		}
		want, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err == nil && !slices.EqualFunc(got, want[1:], slices.Equal[[]string]) {
			t.Errorf("got %q, want %q", got, want[1:])
		}
	})
}
