package partition

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

func TestRecordsThroughTheEngine(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		v := r.put("k", "a", "1")
		got, err := r.e.GetRecord(t.Context(), "k", "a")
		if err != nil || got.Version != v || string(got.Value) != "1" {
			t.Errorf("record %+v, %v", got, err)
		}
		_, err = r.e.PutRecord(t.Context(), task.Write{Key: "k", Name: "a", Expected: v + 1}, false)
		wantCode(t, err, task.CodeConflict, "read it again")
		if gone, err := r.e.PutRecord(t.Context(), task.Write{Key: "k", Name: "a", Expected: v, Delete: true}, false); err != nil || gone != 0 {
			t.Errorf("delete: %d, %v", gone, err)
		}
		_, err = r.e.GetRecord(t.Context(), "k", "a")
		wantCode(t, err, task.CodeNotFound, "no record")
		_, err = r.e.GetRecord(t.Context(), "", "a")
		wantCode(t, err, task.CodeInvalidArgument, "key")
		_, err = r.e.PutRecord(t.Context(), task.Write{Key: "k"}, false)
		wantCode(t, err, task.CodeInvalidArgument, "name")
	})
}

func TestScanPagesThroughNastyKeys(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		keys := []string{"p", "p\x00", "p\x00\x00", "p\x00\xff", "p\x01", "p\xff", "p\xff\xff", "p:1", "p/ü", "pa", "p" + strings.Repeat("x", 500)}
		var want []string
		for _, key := range keys {
			for _, name := range []string{"a", "a\x00", "\x00", "ÿ", strings.Repeat("n", task.MaxRecordName)} {
				r.put(key, name, key)
				want = append(want, key+"|"+name)
			}
		}
		r.put("o", "a", "before")
		r.put("q", "a", "after")
		slices.Sort(want)
		for _, limit := range []int{1, 2, 7, 1000} {
			var got []string
			for token, pages := "", 0; ; pages++ {
				records, next, err := r.e.ScanRecords(t.Context(), "p", "", limit, token)
				if err != nil {
					t.Fatal(err)
				}
				for _, rec := range records {
					got = append(got, rec.Key+"|"+rec.Name)
				}
				if token = next; token == "" {
					break
				}
				if len(records) > limit || pages > len(want) {
					t.Fatalf("page of %d records, %d pages", len(records), pages)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("limit %d: %d records, want %d: %q", limit, len(got), len(want), got)
			}
		}
		records, _, err := r.e.ScanRecords(t.Context(), "p", "a\x00", 100, "")
		if err != nil || len(records) != len(keys) {
			t.Errorf("by name: %d records, %v", len(records), err)
		}
		if all, next, err := r.e.ScanRecords(t.Context(), "", "", 1000, ""); err != nil || len(all) != len(want)+2 || next != "" {
			t.Errorf("everything: %d, %q, %v", len(all), next, err)
		}
		for _, token := range []string{"x", "9:", "-1:", "0:zz", "0:ff", "0", ":", "0:00ff", "99999999999999999999:"} {
			_, _, err := r.e.ScanRecords(t.Context(), "p", "", 5, token)
			wantCode(t, err, task.CodeInvalidArgument, "page token")
		}
		_, _, err = r.e.ScanRecords(t.Context(), "p", "", 0, "")
		wantCode(t, err, task.CodeInvalidArgument, "limit")
	})
}

func TestScanAndHistoryBoundTheirPagesInBytes(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		t := r.t
		const n = 40
		for i := range n {
			r.put("k", fmt.Sprint("r", i), strings.Repeat("x", task.MaxRecordValue))
		}
		seen, pages := 0, 0
		for token := ""; ; pages++ {
			records, next, err := r.e.ScanRecords(t.Context(), "k", "", 1000, token)
			if err != nil {
				t.Fatal(err)
			}
			if seen += len(records); len(records) > 17 {
				t.Errorf("a page of %d large records", len(records))
			}
			if token = next; token == "" {
				break
			}
		}
		changes := 0
		for after := uint64(0); ; {
			page, err := r.e.History(t.Context(), HistoryQuery{Key: "k", After: after, Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			if changes += len(page.Changes); len(page.Changes) > 17 {
				t.Errorf("a page of %d large changes", len(page.Changes))
			}
			if after = page.After; after == 0 {
				break
			}
		}
		if seen != n || changes != n || pages < 2 {
			t.Errorf("%d records, %d changes, %d pages", seen, changes, pages)
		}
	})
}

func TestDeadLettersPageThroughLargeTasks(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		const n = 30
		for i := range n {
			x := newTask("loose", "", fmt.Sprint("dead ", i))
			x.Payload = bytes.Repeat([]byte{byte(i)}, 900<<10)
			r.submit(x)
			r.work(func(*task.Leased) task.Outcome { return reject() })
		}
		r.submit(newTask("keyed", "k", "elsewhere"))
		r.work(func(*task.Leased) task.Outcome { return reject() })
		for _, limit := range []int{1, 4, 1000} {
			seen := map[task.ID]bool{}
			for token, pages := "", 0; ; pages++ {
				letters, next, err := r.e.DeadLetters(t.Context(), DeadFilter{Queue: "loose"}, limit, token)
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range letters {
					if seen[l.Task.ID] || l.Reason != "never" || l.Attempts != 1 || len(l.History) != 1 {
						t.Errorf("letter %v, seen %v", l.Task.ID, seen[l.Task.ID])
					}
					seen[l.Task.ID] = true
				}
				if token = next; token == "" {
					break
				}
				if len(letters) > limit || pages > 2*n {
					t.Fatalf("%d letters on page %d", len(letters), pages)
				}
			}
			if len(seen) != n {
				t.Errorf("limit %d: %d letters, want %d", limit, len(seen), n)
			}
		}
		one, err := r.e.DeadLetter(t.Context(), task.DeriveID("elsewhere"), anyQueue)
		if err != nil || one.Task.Key != "k" {
			t.Errorf("letter %+v, %v", one, err)
		}
		_, err = r.e.DeadLetter(t.Context(), task.DeriveID("nobody"), anyQueue)
		wantCode(t, err, task.CodeNotFound, "not a dead letter")
		_, _, err = r.e.DeadLetters(t.Context(), DeadFilter{Queue: "nowhere"}, 1, "")
		wantCode(t, err, task.CodeNotFound, "no queue")
		_, _, err = r.e.DeadLetters(t.Context(), DeadFilter{Queue: "loose"}, 0, "")
		wantCode(t, err, task.CodeInvalidArgument, "limit")
		_, _, err = r.e.DeadLetters(t.Context(), DeadFilter{Queue: "loose"}, 1, "0:6162")
		wantCode(t, err, task.CodeInvalidArgument, "page token")
	})
}
