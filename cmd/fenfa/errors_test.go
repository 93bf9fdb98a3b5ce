package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/bench"
	"github.com/fenfa/fenfa/internal/demo"
)

func TestErrorsHaveExitCodes(t *testing.T) {
	api := func(code fenfa.Code) error { return fmt.Errorf("get task: %w", &fenfa.Error{Code: code, Message: "m"}) }
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"usage":               {usagef("x"), exitUsage},
		"check":               {failuref(exitCheck, "x"), exitCheck},
		"interrupt":           {errInterrupted, exitInterrupted},
		"other":               {errors.New("x"), exitInternal},
		"not found":           {api(fenfa.CodeNotFound), exitNotFound},
		"unavailable":         {api(fenfa.CodeUnavailable), exitUnavailable},
		"exhausted":           {api(fenfa.CodeResourceExhausted), exitUnavailable},
		"invalid":             {api(fenfa.CodeInvalidArgument), exitRefused},
		"already exists":      {api(fenfa.CodeAlreadyExists), exitRefused},
		"conflict":            {api(fenfa.CodeConflict), exitRefused},
		"precondition":        {api(fenfa.CodeFailedPrecondition), exitRefused},
		"too large":           {api(fenfa.CodeTooLarge), exitRefused},
		"unimplemented":       {api(fenfa.CodeUnimplemented), exitRefused},
		"internal":            {api(fenfa.CodeInternal), exitInternal},
		"hint keeps the code": {hinted(api(fenfa.CodeNotFound), "h", fenfa.CodeNotFound), exitNotFound},
		"joined":              {errors.Join(nil, usagef("x")), exitUsage},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%s: exit code %d, want %d", name, got, c.want)
		}
	}
	documented := make(map[string]bool)
	for _, row := range exitMeanings() {
		documented[row[0]] = true
	}
	for _, code := range []int{exitOK, exitCheck, exitUsage, exitRefused, exitNotFound, exitUnavailable, exitNode, exitInternal, exitInterrupted} {
		if !documented[fmt.Sprint(code)] {
			t.Errorf("exit code %d is not documented", code)
		}
	}
}

func TestErrorIsWrittenForAPersonOrAProgram(t *testing.T) {
	err := hinted(&fenfa.Error{Code: fenfa.CodeResourceExhausted, Message: "queue is full", Field: "queue", RetryAfter: time.Second},
		"come back later", fenfa.CodeResourceExhausted)
	var text bytes.Buffer
	if code := report(&text, err, false); code != exitUnavailable || text.String() != "fenfa: queue is full\n  come back later\n" {
		t.Errorf("exit code %d, text %q", code, text.String())
	}
	var out bytes.Buffer
	report(&out, err, true)
	var got struct{ Error errorView }
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := errorView{Code: "resource_exhausted", Message: "queue is full", Field: "queue", RetryAfterMS: 1000, Hint: "come back later", Exit: 5}
	if got.Error != want {
		t.Errorf("got %+v, want %+v", got.Error, want)
	}
}

// command runs a command line in this process.
func command(args ...string) (code int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	code = run(args, streams{in: strings.NewReader(""), out: &out, err: &errOut})
	return code, out.String(), errOut.String()
}

func TestCommandLineMistakesAreExplained(t *testing.T) {
	for line, want := range map[string]string{
		"srve":                                   "fenfa: `fenfa` has no subcommand \"srve\"\n  did you mean `fenfa serve`?\n",
		"xyzzy":                                  "fenfa: `fenfa` has no subcommand \"xyzzy\"\n  see `fenfa --help` for all of them\n",
		"queue":                                  "fenfa: `fenfa queue` needs a subcommand\n  one of: describe, list, pause, purge, resume, set\n",
		"queue lst":                              "fenfa: `fenfa queue` has no subcommand \"lst\"\n  did you mean `fenfa queue list`?\n",
		"queue describe":                         "fenfa: `fenfa queue describe` needs NAME\n  usage: fenfa queue describe NAME [flags]\n",
		"queue list x":                           "fenfa: `fenfa queue list` does not take \"x\"\n  usage: fenfa queue list [flags]\n",
		"queue set x --batch 0":                  "fenfa: --batch is \"0\": want 1 to 10000\n  leave the flag out to keep the setting\n",
		"queue set x --key-concurrency 0":        "fenfa: --key-concurrency is \"0\": want a whole number above 0, or none\n  see `fenfa queue set --help`\n",
		"queue set x --concurrency 0":            "fenfa: --concurrency is \"0\": want a whole number above 0, or none\n  see `fenfa queue set --help`\n",
		"queue set x --rate 5/d":                 "fenfa: --rate is \"5/d\": want tasks a second as 50 or 50/s, tasks a minute as 300/m, tasks an hour as 1000/h, or none\n  see `fenfa queue set --help`\n",
		"queue set x --order kye":                "fenfa: --order is \"kye\": want key or none\n  did you mean key?\n",
		"submit --quue q":                        "fenfa: `fenfa submit` has no flag --quue\n  did you mean --queue?\n",
		"submit x":                               "fenfa: say the queue\n  --queue NAME\n",
		"submit --queue q":                       "fenfa: there is nothing to submit\n  give payloads as arguments, or --file\n",
		"submit --queue q --file f x":            "fenfa: --file and payload arguments do not go together\n",
		"submit --queue q --file f":              "fenfa: open input: open f: no such file or directory\n",
		"submit --queue q --file - --format xml": "fenfa: --format is \"xml\": want csv or ndjson\n",
		"submit --queue q --file -":              "fenfa: standard input has no name that tells its format\n  --format csv or --format ndjson\n",
		"submit --queue q x --id 1 --timeout 1s": "fenfa: task id \"1\" is not a UUID: want 36 characters like 0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01\n",
		"submit --queue q x --on-error ignore":   "fenfa: --on-error is \"ignore\": want stop or skip\n",
		"submit --queue q x --require-column c":  "fenfa: --format and all flags that name a column are for --file\n",
		"submit --queue q --file f --require a --require-column c": "fenfa: --require and --require-column do not go together\n",
		"submit --queue q --file f --prefer a --prefer-column c":   "fenfa: --prefer and --prefer-column do not go together\n",
		"queue set x --share 0":                                    "fenfa: --share is \"0\": want 0.001 to 1000\n  leave the flag out to keep the setting\n",
		"queue set x --require=":                                   "fenfa: --require is empty: want terms on worker labels\n  --require '*' takes the terms back\n",
		"queue set x --balance p2":                                 "fenfa: --balance is \"p2\": want round_robin or random or weighted or least_inflight or p2c or consistent_hash\n  did you mean p2c?\n",
		"cluster worker set w":                                     "fenfa: say the weight\n  --weight W, where 0 takes back what was set\n",
		"cluster worker st w":                                      "fenfa: `fenfa cluster worker` has no subcommand \"st\"\n  did you mean `fenfa cluster worker set`?\n",
		"cluster quiet":                                            "fenfa: `fenfa cluster quiet` needs ID\n  usage: fenfa cluster quiet ID [flags]\n",
		"cluster drian w":                                          "fenfa: `fenfa cluster` has no subcommand \"drian\"\n  did you mean `fenfa cluster drain`?\n",
		"cluster drain w --wait-timeout 0s":                        "fenfa: --wait-timeout is 0s: want more than 0\n",
		"worker --queue q --exec true --weight 0":                  "fenfa: --weight is 0: want more than 0 and at most 1000000\n",
		"worker --queue q --exec true --weight heavy":              "fenfa: --weight is \"heavy\": want a number\n  see `fenfa worker --help`\n",
		"worker --queue q --exec true --weight 1e999":              "fenfa: --weight is \"1e999\": the number is out of range\n  see `fenfa worker --help`\n",
		"worker --queue q --exec true --weight NaN":                "fenfa: --weight is NaN: want more than 0 and at most 1000000\n",
		"worker --queue q --exec true --concurrency 1.5":           "fenfa: --concurrency is \"1.5\": want a whole number\n  see `fenfa worker --help`\n",
		"worker --queue q --exec true --drain-timeout 5":           "fenfa: --drain-timeout is \"5\": want a duration like 300ms, 1.5s or 2h\n  see `fenfa worker --help`\n",
		"worker --queue q --exec true --quiet=perhaps":             "fenfa: --quiet is \"perhaps\": want true or false\n  see `fenfa worker --help`\n",
		"worker --queue q --exec true --label =x":                  "fenfa: --label is \"=x\": it names no label\n  see `fenfa worker --help`\n",
		"cluster worker set w --weight heavy":                      "fenfa: --weight is \"heavy\": want a number\n  see `fenfa cluster worker set --help`\n",
		"queue set x --order=":                                     "fenfa: --order is \"\": want key or none\n  leave the flag out to keep the setting\n",
		"queue set x --dedupe-window 0s":                           "fenfa: --dedupe-window is \"0s\": want 1m to 8784h\n  leave the flag out to keep the setting\n",
		"queue set x --balance p2c --balance-overflow wait":        "fenfa: --balance-overflow does not go with --balance p2c: it is for consistent_hash\n",
		"queue set x --balance random --balance-load-bound 2":      "fenfa: --balance-load-bound does not go with --balance random: it is for consistent_hash\n",
		"submit --queue q x --require=":                            "fenfa: --require is empty: want terms on worker labels\n  leave the flag out to ask for nothing\n",
		"submit --queue q x --prefer=":                             "fenfa: --prefer is empty: want terms on worker labels\n  leave the flag out to ask for nothing\n",
		"worker --queue q":                                         "fenfa: say the command\n  --exec CMD\n",
		"worker --exec true":                                       "fenfa: say the queue\n  --queue NAME\n",
		"worker --queue q --exec true -c x":                        "fenfa: fenfa worker: unknown shorthand flag: 'c' in -c\n  see `fenfa worker --help`\n",
		"state put k n v":                                          "fenfa: say which version is expected\n  one of --new, --version N, --any\n",
		"state put k n --new":                                      "fenfa: say the value\n  give VALUE, or --file F, or --file - for standard input\n",
		"state put k n --any --delete":                             "fenfa: --delete needs --version\n",
		"state scan --limit 1001":                                  "fenfa: --limit is 1001: want 1 to 1000\n",
		"bench":                                                    "fenfa: `fenfa bench` needs a NAME\n  one of: " + strings.Join(bench.Names(), ", ") + "\n",
		"bench drian":                                              "fenfa: benchmark \"drian\" is not known: want one of " + strings.Join(bench.Names(), ", ") + "\n  did you mean `fenfa bench drain`?\n",
		"bench drain --payload 1":                                  "fenfa: payload is 1: want 16 to 1048576\n",
		"bench paced --tasks 1 --duration 1s":                      "fenfa: tasks and duration do not go together: one of them ends the benchmark\n",
		"demo --orders 0":                                          "fenfa: orders is 0: want 1 to 10000000\n",
		"demo --orders none.csv":                                   "fenfa: read orders: open none.csv: no such file or directory\n  --orders is a number or a CSV file\n",
		"demo --orders none.csv --skus 3":                          "fenfa: --skus is for orders that are made up, not for a file\n",
		"demo --workers 1":                                         "fenfa: a demo that kills a worker needs at least 2 of them\n",
		"task get x":                                               "fenfa: task id \"x\" is not a UUID: want 36 characters like 0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01\n",
		"task get --addr nowhere --timeout 1s " + anID:             "fenfa: node address \"nowhere\": want host:port, like 127.0.0.1:7400: address nowhere: missing port in address\n",
		"task get --timeout 0s " + anID:                            "fenfa: --timeout is 0s: want more than 0\n",
	} {
		t.Run(line, func(t *testing.T) {
			code, stdout, stderr := command(strings.Fields(line)...)
			if stderr != want || stdout != "" {
				t.Errorf("standard error is %q and output %q, want %q and none", stderr, stdout, want)
			}
			if code != exitUsage && code != exitRefused {
				t.Errorf("exit code %d, want %d or %d", code, exitUsage, exitRefused)
			}
		})
	}
}

const anID = "0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01"

func TestErrorsAreJSONWithTheFlag(t *testing.T) {
	for _, line := range []string{"queue lst --json", "queue list --json --addr", "queue describe --json", "bench drian --json"} {
		code, stdout, stderr := command(strings.Fields(line)...)
		var got struct{ Error errorView }
		if err := json.Unmarshal([]byte(stderr), &got); err != nil {
			t.Errorf("%s: standard error is no JSON: %q", line, stderr)
			continue
		}
		if code != exitUsage || got.Error.Code != "usage" || got.Error.Exit != exitUsage || got.Error.Message == "" || stdout != "" {
			t.Errorf("%s: exit code %d, error %+v, output %q", line, code, got.Error, stdout)
		}
	}
}

func TestNodeThatIsNotThereIsUnavailable(t *testing.T) {
	code, _, stderr := command("cluster", "health", "--addr", "127.0.0.1:1", "--timeout", "300ms")
	if code != exitUnavailable || !strings.Contains(stderr, "127.0.0.1:1") || !strings.Contains(stderr, "fenfa serve") {
		t.Errorf("exit code %d, standard error %q", code, stderr)
	}
}

func TestBrokenPromiseIsExitCode1(t *testing.T) {
	if err := verdictOf(&demo.Report{OK: true}); err != nil {
		t.Errorf("a kept promise is %v", err)
	}
	err := verdictOf(&demo.Report{Lost: 1})
	if exitCode(err) != exitCheck || !strings.Contains(err.Error(), "lost 1,") {
		t.Errorf("exit code %d, %v", exitCode(err), err)
	}
}
