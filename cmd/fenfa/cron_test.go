package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSchedulesGoTheirWayThroughTheCommandLine(t *testing.T) {
	n := serveNode(t, t.TempDir())
	n.ok(t, &queueView{}, "queue", "set", "reports")
	var made appliedCron
	n.ok(t, &made, "cron", "create", "nightly", "--spec", "30 2 * * *", "--zone", "Europe/Berlin", "--queue", "reports", "--header", "a=b", "--payload", "hello")
	if !made.Created || made.Zone != "Europe/Berlin" || made.NextAt == "" || made.Headers["a"] != "b" || made.Payload != "hello" {
		t.Errorf("created %+v", made)
	}
	if _, err := time.Parse(time.RFC3339, made.NextAt); err != nil {
		t.Errorf("the next tick is no moment: %v", err)
	}
	if code, _, stderr := n.run(t, "cron", "create", "nightly", "--spec", "@hourly", "--queue", "reports"); code != exitRefused || !strings.Contains(stderr, "already") {
		t.Errorf("another one: exit code %d: %s", code, stderr)
	}
	file := filepath.Join(t.TempDir(), "crons.yaml")
	yaml := "name: nightly\nspec: '0 4 * * *'\nqueue: reports\n---\nname: beat\nspec: '@every 90s'\nqueue: reports\noverlap: allow\nmissed: skip\n"
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	var applied struct{ Crons []appliedCron }
	n.ok(t, &applied, "cron", "create", "--file", file)
	if len(applied.Crons) != 2 || applied.Crons[0].Created || applied.Crons[0].Spec != "0 4 * * *" || !applied.Crons[1].Created || applied.Crons[1].Overlap != "allow" {
		t.Errorf("applied %+v", applied)
	}
	var ticks struct{ Ticks []string }
	n.ok(t, &ticks, "cron", "next", "nightly", "--count", "2")
	if len(ticks.Ticks) != 2 || !strings.Contains(ticks.Ticks[0], "T04:00:00Z") {
		t.Errorf("next %+v", ticks)
	}
	var ran struct {
		TaskID string `json:"task_id"`
	}
	n.ok(t, &ran, "cron", "run", "nightly")
	var s cronView
	n.ok(t, &s, "cron", "pause", "nightly")
	if !s.Paused || len(s.Runs) != 1 || s.Runs[0].TaskID != ran.TaskID {
		t.Errorf("paused %+v", s)
	}
	n.ok(t, &s, "cron", "resume", "nightly")
	n.ok(t, &s, "cron", "update", "nightly", "--spec", "@daily", "--queue", "reports")
	var list struct{ Crons []cronView }
	n.ok(t, &list, "cron", "list")
	if len(list.Crons) != 2 || list.Crons[0].Name != "beat" || list.Crons[1].Spec != "@daily" {
		t.Errorf("list %+v", list)
	}
	if code, out, _ := n.run(t, "cron", "show", "nightly"); code != exitOK || !strings.Contains(out, "@daily in UTC") || !strings.Contains(out, ran.TaskID) {
		t.Errorf("show: exit code %d: %s", code, out)
	}
	n.ok(t, &s, "cron", "delete", "nightly")
	if code, _, stderr := n.run(t, "cron", "show", "nightly"); code != exitNotFound || !strings.Contains(stderr, "cron list") {
		t.Errorf("deleted: exit code %d: %s", code, stderr)
	}
}

func TestSchedulesThatSayTooLittleAreRefused(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("name: a\nspek: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no spec":    {[]string{"create", "a", "--queue", "q"}, "--spec"},
		"no queue":   {[]string{"create", "a", "--spec", "@daily"}, "--queue"},
		"no name":    {[]string{"create", "--queue", "q", "--spec", "@daily"}, "NAME"},
		"overlap":    {[]string{"create", "a", "--queue", "q", "--spec", "@daily", "--overlap", "x"}, "overlap"},
		"missed":     {[]string{"update", "a", "--queue", "q", "--spec", "@daily", "--missed", "x"}, "missed"},
		"both":       {[]string{"create", "a", "--file", "x"}, "--file"},
		"bad yaml":   {[]string{"create", "--file", bad}, "spek"},
		"count":      {[]string{"next", "a", "--count", "0"}, "--count"},
		"not a file": {[]string{"update", "a", "--file", "x"}, "--file"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, problems strings.Builder
			code := run(append([]string{"cron"}, tc.args...), streams{in: strings.NewReader(""), out: &out, err: &problems})
			if code != exitUsage || !strings.Contains(problems.String(), tc.want) {
				t.Errorf("exit code %d: %s", code, problems.String())
			}
		})
	}
}
