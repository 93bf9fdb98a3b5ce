package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/orders"
)

func TestDisplayOnATerminalRedrawsOneBlock(t *testing.T) {
	var out bytes.Buffer
	now := snapshot{phase: "distributing", total: 200, confirmed: 150, worked: 50, elapsed: time.Second, running: 3, submitP50: time.Millisecond, submitP99: 3 * time.Millisecond}
	d := &display{out: &out, terminal: true, take: func() snapshot { return now }}
	d.show()
	first := out.String()
	if strings.Contains(first, "\x1b[") || !strings.Contains(first, "[##########..............................] 50 of 200 orders, distributing") {
		t.Errorf("first block is %q", first)
	}
	out.Reset()
	now.worked, now.elapsed, now.news = 150, 2*time.Second, []string{"killed worker-1"}
	d.show()
	second := out.String()
	if !strings.HasPrefix(second, "\x1b[2A\x1b[J  * killed worker-1\n  [###") || !strings.Contains(second, "rate 100/s   backlog 0") {
		t.Errorf("second block is %q", second)
	}
	out.Reset()
	d.show()
	if strings.Contains(out.String(), "killed worker-1") {
		t.Error("news are told twice")
	}
}

func TestDisplayFitsItsTerminal(t *testing.T) {
	var out bytes.Buffer
	d := &display{out: &out, terminal: true, width: 30, take: func() snapshot { return snapshot{phase: "distributing", total: 10} }}
	d.show()
	for line := range strings.Lines(out.String()) {
		if len(line) > 30 {
			t.Errorf("line has %d characters: %q", len(line), line)
		}
	}
}

func TestDisplayElsewhereWritesALineNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		began := time.Now()
		d := &display{out: &out, take: func() snapshot {
			return snapshot{phase: "distributing", total: 10, confirmed: 10, worked: 4, elapsed: time.Since(began), running: 4}
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		d.run(ctx)
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != 3 {
			t.Fatalf("%d lines in 5 s, want 3: %q", len(lines), lines)
		}
		want := "  2.0 s  distributing: 4 of 10 orders, 2/s, backlog 6, submit p50 0.0 ms p99 0.0 ms, workers 4"
		if lines[0] != want {
			t.Errorf("line is %q, want %q", lines[0], want)
		}
	})
}

func TestReportHasTheFieldsThatWerePromised(t *testing.T) {
	b, err := json.Marshal(&Report{})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for field := range strings.FieldsSeq(`orders confirmed done sold_out dead lost duplicated oversold order_violations stock_mismatches throughput_per_s
		submit_p50_ms submit_p99_ms start_p50_ms start_p99_ms worker_recovery_ms node_recovery_ms broker broker_killed broker_recovery_ms broker_ready_ms seconds`) {
		if _, ok := got[field]; !ok {
			t.Errorf("the report has no field %q", field)
		}
	}
}

func TestReportSaysWhatWasPromisedAndChecked(t *testing.T) {
	r := &Report{Orders: 10, Input: "orders.csv", InvalidLines: 1, Invalid: []orders.Invalid{{Line: 7, Reason: "quantity is 0"}}, WorkerKilled: true, NodeKilled: true, BrokerKilled: true, Broker: "rabbitmq", StoreKilled: true, Store: "mysql"}
	r.verdict(&Findings{Confirmed: 10, Done: 10, Checks: []Check{{Promise: "nothing is lost", How: "every order was asked for", Compared: 10}}})
	var out bytes.Buffer
	r.WriteText(&out)
	for _, want := range []string{"line 7: quantity is 0", "nothing is lost", "every order was asked for", "every promise was kept", "A worker was killed", "The node was killed", "The broker was killed", "broker rabbitmq"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, out.String())
		}
	}
	r.verdict(&Findings{Lost: 1, Examples: []string{"lost: line 3"}, Checks: []Check{{Promise: "nothing is lost", How: "x", Compared: 10, Wrong: 1}}})
	out.Reset()
	r.WriteText(&out)
	for _, want := range []string{"A PROMISE WAS BROKEN", "! lost: line 3", "FAILED"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, out.String())
		}
	}
}

func TestSettingsAreValidated(t *testing.T) {
	good := Config{Orders: someOrders(t, 10), Binary: "fenfa", Kill: true}
	if err := good.withDefaults().validate(); err != nil {
		t.Errorf("defaults are refused: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"no orders":        func(c *Config) { c.Orders = nil },
		"no binary":        func(c *Config) { c.Binary = "" },
		"too many workers": func(c *Config) { c.Workers = 257 },
		"nobody left":      func(c *Config) { c.Workers = 1 },
		"broker's address": func(c *Config) { c.BrokerURL = "amqp://h" },
		"negative rate":    func(c *Config) { c.Rate = -1 },
		"concurrency":      func(c *Config) { c.Concurrency = 5000 },
		"negative workers": func(c *Config) { c.Workers = -1 },
	} {
		c := good
		change(&c)
		if err := c.withDefaults().validate(); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
