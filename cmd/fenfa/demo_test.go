package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fenfa/fenfa/internal/bench"
	"github.com/fenfa/fenfa/internal/demo"
)

// runDemo runs a demo to its end and reads its report.
func runDemo(t *testing.T, args ...string) demo.Report {
	t.Helper()
	code, stdout, stderr := process(t, "", append([]string{"demo", "--json"}, args...)...)
	if code != exitOK || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var r demo.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("output is no JSON: %v: %s", err, stdout)
	}
	return r
}

func TestDemoKeepsItsPromisesThroughKills(t *testing.T) {
	r := runDemo(t, "--orders", "6000", "--skus", "50", "--hot", "0.3", "--workers", "3")
	if !r.OK || r.Orders != 6000 || r.Confirmed != 6000 || r.Done != 6000 || r.Dead != 0 || r.SoldOut == 0 {
		t.Errorf("report is %+v", r)
	}
	if !r.WorkerKilled || !r.NodeKilled || r.NodeRecoveryMS <= 0 || r.NodeReadyMS <= 0 {
		t.Errorf("kills: %+v", r)
	}
	if r.Resubmitted != 6000 || r.ResubmitKnown != 6000 {
		t.Errorf("%d of %d resubmitted orders were known", r.ResubmitKnown, r.Resubmitted)
	}
	for _, c := range r.Checks {
		if c.Compared == 0 || c.Wrong != 0 {
			t.Errorf("check %+v", c)
		}
	}
}

func TestSameFileChangesNoStock(t *testing.T) {
	file := filepath.Join(t.TempDir(), "orders.csv")
	var text strings.Builder
	text.WriteString("InvoiceNo,StockCode,Description,Quantity\n")
	for i := range 1500 {
		fmt.Fprintf(&text, "%d,SKU-%d,caf\xe9,%d\n", i/3, i%17, 1+i%5)
	}
	text.WriteString("C9,SKU-1,back,-4\n1,SKU-1,nothing,0\n1,SKU-1,short\n")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	first := runDemo(t, "--orders", file, "--data", dir, "--no-kill", "--workers", "2")
	if first.Orders != 1501 || first.InvalidLines != 2 || !first.OK || first.SoldOut == 0 {
		t.Fatalf("first report is %+v", first)
	}
	second := runDemo(t, "--orders", file, "--data", dir, "--no-kill", "--workers", "2")
	if !second.OK || second.Accepted != first.Accepted || second.SoldOut != first.SoldOut {
		t.Errorf("second report is %+v", second)
	}
	if code, _, stderr := process(t, "", "demo", "--orders", "10", "--data", dir, "--no-kill"); code != exitRefused || !strings.Contains(stderr, "another input") {
		t.Errorf("another input: exit code %d: %s", code, stderr)
	}
	// The command line makes the same tasks of the file.
	n := serveNode(t, filepath.Join(dir, "data"))
	var before, after struct{ Records []recordView }
	n.ok(t, &before, "state", "scan", "SKU")
	var sum summary
	code, stdout, _ := n.run(t, "submit", "--queue", "orders", "--file", file, "--key-column", "StockCode", "--encoding", "latin-1", "--on-error", "skip", "--json")
	if err := json.Unmarshal([]byte(stdout), &sum); err != nil {
		t.Fatalf("exit code %d, %v: %s", code, err, stdout)
	}
	if sum.Duplicate != 1501 || sum.Accepted != 1 || sum.Malformed != 1 {
		t.Errorf("submit says %+v, want 1501 that are there, and the line with the quantity 0", sum)
	}
	n.ok(t, &after, "state", "scan", "SKU")
	if fmt.Sprint(before) != fmt.Sprint(after) || len(before.Records) != 17 {
		t.Errorf("stock was %+v and is %+v", before, after)
	}
}

func TestInterruptedDemoTakesItsProcessesAlong(t *testing.T) {
	dir := t.TempDir()
	cmd := fenfaCommand(t, "demo", "--orders", "20000", "--rate", "100", "--data", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	children := func() []string {
		var found []string
		all, err := filepath.Glob("/proc/[0-9]*/stat")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range all {
			text, err := os.ReadFile(path)
			fields := strings.Fields(string(text))
			if err == nil && len(fields) > 3 && fields[3] == fmt.Sprint(cmd.Process.Pid) {
				found = append(found, fields[0])
			}
		}
		return found
	}
	waitFor(t, func() bool { return len(children()) == 5 })
	pids := children()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	for _, pid := range pids {
		if _, err := os.Stat("/proc/" + pid); err == nil {
			t.Errorf("process %s is left", pid)
		}
	}
}

func TestBenchmarksRun(t *testing.T) {
	for name, c := range map[string]struct {
		args  []string
		check func(r *bench.Result) bool
	}{
		"drain":    {[]string{"--tasks", "3000", "--with-limit"}, func(r *bench.Result) bool { return r.Tasks == 3000 && r.StartP99 != nil && r.LimitRatio != nil }},
		"submit":   {[]string{"--duration", "300ms"}, func(r *bench.Result) bool { return r.Tasks > 0 && r.ConfirmP99 != nil }},
		"paced":    {[]string{"--rate", "500", "--duration", "500ms"}, func(r *bench.Result) bool { return r.Tasks == 250 && r.KeptPace != nil && r.StartP999 != nil }},
		"transfer": {[]string{"--tasks", "300"}, func(r *bench.Result) bool { return r.Tasks == 300 && r.Verified != nil && *r.Verified }},
		"hot":      {[]string{"--tasks", "3000"}, func(r *bench.Result) bool { return r.Tasks == 3000 && r.Verified != nil && *r.Verified }},
		"backlog":  {[]string{"--tasks", "3000"}, func(r *bench.Result) bool { return r.RestartSeconds != nil && r.FullRSSMiB != nil && r.PerS > 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := process(t, "", append([]string{"bench", name, "--json"}, c.args...)...)
			var r bench.Result
			if err := json.Unmarshal([]byte(stdout), &r); err != nil {
				t.Fatalf("exit code %d, %v: %s%s", code, err, stdout, stderr)
			}
			if code != exitOK || r.Name != name || !r.FSync || r.CPUPer100k <= 0 || r.PeakRSSMiB <= 0 || !c.check(&r) {
				t.Errorf("exit code %d: %s", code, stdout)
			}
		})
	}
}
