package history

import "testing"

func acc(kind AccessKind, start, end int64, expected, version uint64, value string, r Result) Access {
	return Access{Client: "c", Start: start, End: end, Kind: kind, Key: "k", Name: "n", Expected: expected, Version: version, Value: value, Result: r}
}

func TestRecords(t *testing.T) {
	write := func(start, end int64, expected, version uint64, value string) Access {
		return acc(Write, start, end, expected, version, value, OK)
	}
	read := func(start, end int64, version uint64, value string) Access {
		return acc(Read, start, end, 0, version, value, OK)
	}
	for _, c := range []struct {
		name     string
		accesses []Access
		want     Rule // empty: nothing is wrong
	}{
		{"written and read", []Access{write(1, 2, 0, 5, "x"), read(3, 4, 5, "x"), write(5, 6, 5, 9, "y"), read(7, 8, 9, "y")}, ""},
		{"read while written, either way", []Access{write(1, 9, 0, 5, "x"), read(2, 3, 0, ""), read(4, 5, 5, "x")}, ""},
		{"read of what was never written", []Access{write(1, 2, 0, 5, "x"), read(3, 4, 5, "y")}, RuleLinearizable},
		{"read of an old version", []Access{write(1, 2, 0, 5, "x"), write(3, 4, 5, 6, "y"), read(5, 6, 5, "x")}, RuleVersionBack},
		{"read misses a write", []Access{write(1, 2, 0, 5, "x"), read(3, 4, 0, "")}, RuleLinearizable},
		{"two writes on one version", []Access{write(1, 9, 0, 5, "x"), write(2, 8, 0, 6, "y")}, RuleLinearizable},
		{"a refused write was right to be refused", []Access{write(1, 2, 0, 5, "x"), acc(Write, 3, 4, 4, 0, "y", Fail), read(5, 6, 5, "x")}, ""},
		{"a write was refused without reason", []Access{write(1, 2, 0, 5, "x"), acc(Write, 3, 4, 5, 0, "y", Fail)}, RuleLinearizable},
		{"an unknown write did not happen", []Access{write(1, 2, 0, 5, "x"), acc(Write, 3, 4, 5, 0, "y", Unknown), read(9, 10, 5, "x")}, ""},
		{"an unknown write happened late", []Access{
			write(1, 2, 0, 5, "x"), acc(Write, 3, 4, 5, 0, "y", Unknown), read(9, 10, 5, "x"), read(11, 12, 6, "y"), write(13, 14, 6, 7, "z"),
		}, ""},
		{"an unknown write came and went", []Access{
			write(1, 2, 0, 5, "x"), acc(Write, 3, 4, 5, 0, "y", Unknown), read(5, 6, 6, "y"), read(7, 8, 5, "x"),
		}, RuleVersionBack},
		{"an unknown write cannot have that version", []Access{
			write(1, 2, 0, 5, "x"), acc(Write, 3, 4, 5, 0, "y", Unknown), read(5, 6, 4, "y"),
		}, RuleLinearizable},
		{"deleted and made again", []Access{
			write(1, 2, 0, 5, "x"), acc(Delete, 3, 4, 5, 0, "", OK), read(5, 6, 0, ""), write(7, 8, 0, 9, "y"),
		}, ""},
		{"made again with an old version", []Access{
			write(1, 2, 0, 5, "x"), acc(Delete, 3, 4, 5, 0, "", OK), write(7, 8, 0, 4, "y"),
		}, RuleVersionBack},
		{"a write whose version does not grow", []Access{write(1, 2, 0, 5, "x"), write(3, 4, 5, 5, "y")}, RuleLinearizable},
		{"failed reads say nothing", []Access{acc(Read, 1, 2, 0, 77, "?", Unknown), acc(Read, 1, 2, 0, 78, "?", Fail)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := Check(History{Accesses: c.accesses})
			if c.want == "" && !report.OK() || c.want != "" && report.Broken[c.want] == 0 {
				t.Errorf("want %q broken\n%s", c.want, report.String())
			}
		})
	}
}

func TestRecordsAreApart(t *testing.T) {
	x, y := acc(Write, 1, 2, 0, 5, "x", OK), acc(Write, 3, 4, 0, 4, "y", OK)
	y.Name = "m"
	if report := Check(History{Accesses: []Access{x, y}}); !report.OK() {
		t.Error(report.String())
	}
}

func TestTooManyAccessesAreUndecided(t *testing.T) {
	var h History
	for i := range uint64(maxSearched + 1) {
		h.Accesses = append(h.Accesses, acc(Write, int64(2*i), int64(2*i)+1, i, i+1, "x", OK))
	}
	report := Check(h)
	if report.Undecided != 1 || !report.OK() {
		t.Error(report.String())
	}
	h.Accesses = append(h.Accesses, acc(Read, 1<<40, 1<<40+1, 0, 7, "x", OK))
	if report := Check(h); report.Broken[RuleVersionBack] != 1 {
		t.Errorf("versions of a long history are not checked: %s", report.String())
	}
}
