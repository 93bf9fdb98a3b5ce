package fenfa

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestATokenFileIsReadAgainWhenItChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &tokenFile{name: filepath.Join(t.TempDir(), "token")}
		age := 0
		write := func(text string) {
			if err := os.WriteFile(f.name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			age++
			if err := os.Chtimes(f.name, time.Time{}, time.Unix(int64(1_700_000_000+age), 0)); err != nil {
				t.Fatal(err)
			}
		}
		want := func(token string) {
			t.Helper()
			if got, err := f.read(); err != nil || got.Reveal() != token {
				t.Errorf("got %q, %v, want %q", got.Reveal(), err, token)
			}
		}
		for _, bad := range []string{"", "two words", "two\nlines"} {
			if bad != "" {
				write(bad)
			}
			if _, err := f.read(); err == nil || strings.Contains(err.Error(), "two") {
				t.Errorf("%q: %v", bad, err)
			}
		}
		write(" first\n")
		want("first")
		write("second")
		want("first") // It was looked at in this second.
		pass(tokenLook)
		want("second")
		write("")
		pass(tokenLook)
		want("second")
		if err := os.Remove(f.name); err != nil {
			t.Fatal(err)
		}
		pass(tokenLook)
		want("second")
	})
}

func TestASecretShowsNowhere(t *testing.T) {
	s := NewSecret("pa55word")
	text, err := s.MarshalText()
	all := string(text) + fmt.Sprintf("%v %+v %#v %s %q %x %v %v", s, s, s, s, s, s, &s, dialConfig{token: s}.token)
	if err != nil || strings.Contains(all, "pa55") || strings.Contains(all, "70613535") || s.Reveal() != "pa55word" {
		t.Errorf("it shows in %s, %v", all, err)
	}
}

func TestWhichRefusalsStay(t *testing.T) {
	for code, stays := range map[Code]bool{CodeUnauthenticated: true, CodePermissionDenied: true, CodeUnavailable: false} {
		if (&dialConfig{token: NewSecret("t")}).refused(code) != stays || (&dialConfig{tokenFile: &tokenFile{}}).refused(code) {
			t.Errorf("%v is judged wrongly", code)
		}
	}
}

// pass lets the time of the bubble pass.
func pass(d time.Duration) { <-time.After(d) }
