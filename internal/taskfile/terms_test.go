package taskfile_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/taskfile"
)

func TestRowsSayWhatTheyAskOfWorkers(t *testing.T) {
	csv := taskfile.Config{Format: taskfile.CSV, RequireField: "needs", PreferField: "likes"}
	ndjson := taskfile.Config{Format: taskfile.NDJSON, RequireField: "needs", PreferField: "likes"}
	for name, c := range map[string]struct {
		cfg             taskfile.Config
		text            string
		require, prefer []string
	}{
		"csv":                 {csv, "needs,likes\ngpu,zone=eu\n", []string{"gpu"}, []string{"zone=eu"}},
		"csv, several":        {csv, "needs,likes\n\"zone=eu, gpu\",!old\n", []string{"gpu", "zone=eu"}, []string{"!old"}},
		"csv, nothing":        {csv, "needs,likes\n,\n", nil, nil},
		"ndjson":              {ndjson, `{"needs":"gpu,zone=eu","likes":"!old"}`, []string{"gpu", "zone=eu"}, []string{"!old"}},
		"ndjson, an array":    {ndjson, `{"needs":["zone=eu","gpu"],"likes":[]}`, []string{"gpu", "zone=eu"}, nil},
		"ndjson, null":        {ndjson, `{"needs":null}`, nil, nil},
		"ndjson, not there":   {ndjson, `{}`, nil, nil},
		"ndjson, empty texts": {ndjson, `{"needs":"","likes":["",""]}`, nil, nil},
		"not asked for":       {taskfile.Config{Format: taskfile.NDJSON}, `{"needs":"gpu"}`, nil, nil},
	} {
		rows, bad := readAll(t, c.text, c.cfg)
		if len(rows) != 1 || len(bad) > 0 || !slices.Equal(rows[0].Require, c.require) || !slices.Equal(rows[0].Prefer, c.prefer) {
			t.Errorf("%s: got %+v, %v", name, rows, bad)
		}
	}
}

func TestTermsThatCannotBeReadCostOneRow(t *testing.T) {
	for text, want := range map[string]string{
		`{"needs":7}`:         `line 1: "needs" is neither a string nor an array of strings`,
		`{"needs":["a",1]}`:   `line 1: "needs" is neither a string nor an array of strings`,
		`{"needs":{"a":"b"}}`: `line 1: "needs" is neither a string nor an array of strings`,
		`[1]`:                 `line 1: "needs" is neither a string nor an array of strings`,
		`{"needs":"a==b"}`:    `line 1: "needs": term "a==b" on worker labels cannot be read: the value has a character of '!=, '; want name, !name, name=value or name!=value`,
	} {
		rows, bad := readAll(t, text+"\n{\"needs\":\"gpu\"}\n", taskfile.Config{Format: taskfile.NDJSON, RequireField: "needs"})
		if len(bad) != 1 || bad[0].Error() != want || len(rows) != 1 || rows[0].Line != 2 {
			t.Errorf("%s: got %v and %d rows, want %q", text, bad, len(rows), want)
		}
	}
}

func TestTermsDoNotChangeTheIdentityOfARow(t *testing.T) {
	const text = "needs,n\ngpu,1\n"
	with, _ := readAll(t, text, taskfile.Config{Format: taskfile.CSV, RequireField: "needs"})
	without, _ := readAll(t, text, taskfile.Config{Format: taskfile.CSV})
	if with[0].ID != without[0].ID {
		t.Error("the row is another task")
	}
}

func TestAColumnOfTermsThatIsNotThereIsNamed(t *testing.T) {
	for _, cfg := range []taskfile.Config{{RequireField: "nedes"}, {PreferField: "nedes"}} {
		cfg.Queue, cfg.Format = "q", taskfile.CSV
		if _, err := taskfile.NewReader(strings.NewReader("needs\n"), cfg); err == nil || err.Error() != `the file has no column "nedes"; it has ["needs"]` {
			t.Errorf("got %v", err)
		}
	}
}
