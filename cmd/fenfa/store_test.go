package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestTheStoreFlagNamesAStore(t *testing.T) {
	env := func(string) string { return "mysql://from-env/one,mysql://from-env/two" }
	for text, want := range map[string]struct {
		mysql     bool
		addresses []string
		show      string
	}{
		"embedded": {false, nil, "embedded"},
		"mysql":    {true, []string{"mysql://from-env/one", "mysql://from-env/two"}, "mysql"},
		"mysql=mysql://u:pa55@h:1,i/a,mysql://u:pa55@j/b": {
			true, []string{"mysql://u:pa55@h:1,i/a", "mysql://u:pa55@j/b"}, "mysql=mysql://u:[redacted]@h:1,i/a,mysql://u:[redacted]@j/b",
		},
	} {
		var s storeFlag
		if err := s.Set(text); err != nil || s.check() != nil {
			t.Errorf("%s: %v, %v", text, err, s.check())
		}
		if s.mysql != want.mysql || !slices.Equal(s.addresses(env), want.addresses) || s.String() != want.show {
			t.Errorf("%s: got %v %s %s", text, s.mysql, s.addresses(env), s.String())
		}
	}
	var none storeFlag
	if none.check() != nil || none.String() != "embedded" || none.addresses(env) != nil {
		t.Errorf("without the flag: %v", none.String())
	}
	if s := (storeFlag{mysql: true}); s.addresses(func(string) string { return "" }) != nil {
		t.Error("there are addresses that nobody gave")
	}
}

func TestWhatIsNoStoreIsRefusedWithoutItsPassword(t *testing.T) {
	for _, text := range []string{"", "postgres", "mysql=http://u:pa55@h/d", "mysql=u:pa55@h/d", "embedded=mysql://u:pa55@h/d", "mysql://u:pa55@h/d"} {
		for _, command := range [][]string{{"demo"}, {"bench", "hot"}} {
			code, stdout, stderr := process(t, "", append(command, "--store", text)...)
			if code != exitUsage || !strings.Contains(stderr, "--store") || strings.Contains(fmt.Sprint(stdout, stderr), "pa55") {
				t.Errorf("%v --store %q: exit code %d, %s%s", command, text, code, stdout, stderr)
			}
		}
	}
}
