package partition

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fenfa/fenfa/internal/task"
)

func TestActivityIsKeptByDayAndTrimmed(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t, ctx := r.t, r.t.Context()
		for day := 1; day <= 3; day++ {
			for i := range 150 {
				if err := r.e.PutActivity(ctx, fmt.Sprintf("2026-01-%02d", day), fmt.Sprintf("n%03d", i), fmt.Appendf(nil, "%d/%d", day, i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := r.e.PutActivity(ctx, "2026-01-02", "n000", []byte("again")); err != nil {
			t.Fatal(err)
		}
		names := func(day, after string, limit int) string {
			rows, err := r.e.Activity(ctx, day, after, limit)
			if err != nil {
				t.Fatal(err)
			}
			var texts []string
			for _, row := range rows {
				texts = append(texts, row.Name+"="+string(row.Value))
			}
			return strings.Join(texts, " ")
		}
		for _, c := range []struct{ got, want string }{
			{names("2026-01-02", "", 2), "n000=again n001=2/1"},
			{names("2026-01-02", "n147", 10), "n148=2/148 n149=2/149"},
			{names("2026-01-04", "", 10), ""},
		} {
			if c.got != c.want {
				t.Errorf("got %s, want %s", c.got, c.want)
			}
		}
		if _, err := r.e.PutRecord(ctx, task.Write{Key: task.ActivityPrefix + "2026-01-02", Name: "n000", Delete: true}, true); task.CodeOf(err) != task.CodeInvalidArgument {
			t.Errorf("anybody may remove an entry: %v", err)
		}
		if _, err := r.e.PutRecord(ctx, task.Write{Key: "zone", Name: "n", Value: []byte("1")}, true); err != nil {
			t.Fatal(err)
		}
		for _, prefix := range []string{"", "fenfa.", task.ActivityPrefix} {
			var keys []string
			for token, more := "", true; more; more = token != "" {
				found, next, err := r.e.ScanRecords(ctx, prefix, "", 100, token)
				if err != nil {
					t.Fatal(err)
				}
				for i := range found {
					keys = append(keys, found[i].Key)
				}
				token = next
			}
			if got := strings.Join(keys, " "); got != map[string]string{"": "zone"}[prefix] {
				t.Errorf("records that begin with %q are %s", prefix, got)
			}
		}
		if n, err := r.e.TrimActivity(ctx, "2026-01-03"); err != nil || n != 300 {
			t.Errorf("trimmed %d, %v", n, err)
		}
		if names("2026-01-02", "", 1) != "" || names("2026-01-03", "", 1) == "" {
			t.Error("the wrong days are left")
		}
	})
}

func TestTheOpLogNamesWhoWrites(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t, ctx := r.t, r.t.Context()
		if _, err := r.e.PutRecord(ctx, task.Write{Key: "a", Name: "n", Value: []byte("1"), By: "token:ci"}, true); err != nil {
			t.Fatal(err)
		}
		keys := []string{"a", "b", "c", "d"} // Of several partitions.
		commit := Commit{By: "token:ci"}
		for _, key := range keys {
			commit.Writes = append(commit.Writes, task.Write{Key: key, Name: "m", Value: []byte("2")})
		}
		if _, err := r.e.Commit(ctx, commit); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // Until participants have applied their parts.
		for _, key := range keys {
			page, err := r.e.History(ctx, HistoryQuery{Key: key, Limit: 10})
			if err != nil || len(page.Changes) == 0 {
				t.Errorf("%s: %+v, %v", key, page, err)
				continue
			}
			for _, c := range page.Changes {
				if c.Worker != "token:ci" {
					t.Errorf("record %s of %s was written by %q", c.Name, c.Key, c.Worker)
				}
			}
		}
	})
}
