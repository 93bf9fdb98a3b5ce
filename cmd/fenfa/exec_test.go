package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
)

func shell(command string) *execHandler {
	return &execHandler{shell: "/bin/sh", command: command, env: os.Environ()}
}

func unheard([]byte) error { return nil }

// kindOf tells a final error from one that is tried again. Reject's type is not
// exported, so its behaviour is told by how the error differs from its cause.
func kindOf(err error) string {
	switch {
	case err == nil:
		return "done"
	case errors.Unwrap(err) != nil && errors.Unwrap(err).Error() == err.Error():
		return "rejected"
	default:
		return "retry"
	}
}

func TestExitCodeDecidesTheOutcome(t *testing.T) {
	for name, c := range map[string]struct {
		command, kind, result, message string
	}{
		"0 is done":                    {"echo ok", "done", "ok", ""},
		"output keeps inner line ends": {`printf 'a\nb\n\n'`, "done", "a\nb\n", ""},
		"no output is an empty result": {"true", "done", "", ""},
		"65 rejects":                   {"echo bad order >&2; exit 65", "rejected", "", "rejected (exit code 65): bad order"},
		"75 is tried again":            {"exit 75", "retry", "", "to be tried again (exit code 75)"},
		"any other is tried again":     {"echo disk on fire >&2; exit 3", "retry", "", "exit code 3: disk on fire"},
		"a signal is tried again":      {"kill -9 $$", "retry", "", "the command ended by a signal (signal: killed)"},
		"a missing command is 127":     {"exec /no/such/command 2>/dev/null", "retry", "", "exit code 127"},
		"too much output is rejected":  {"head -c 300000 /dev/zero", "rejected", "", "the command wrote more than 262144 bytes of result"},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := shell(c.command).run(t.Context(), execTask{ID: "x"}, unheard)
			if kindOf(err) != c.kind || string(result) != c.result {
				t.Fatalf("got %s with %q (%v), want %s with %q", kindOf(err), result, err, c.kind, c.result)
			}
			if err != nil && err.Error() != c.message {
				t.Errorf("message is %q, want %q", err, c.message)
			}
		})
	}
}

func TestCommandSeesItsTask(t *testing.T) {
	task := execTask{ID: "id-1", Queue: "mail", Key: "k", Type: "welcome", Payload: json.RawMessage(`{"to":"a"}`), Attempt: 2, Delivery: 3}
	stdin, err := shell("cat").run(t.Context(), task, unheard)
	if err != nil {
		t.Fatal(err)
	}
	var got execTask
	if err := json.Unmarshal(stdin, &got); err != nil {
		t.Fatalf("standard input is no JSON: %v: %s", err, stdin)
	}
	if got.ID != "id-1" || got.Queue != "mail" || string(got.Payload) != `{"to":"a"}` || got.Attempt != 2 || got.Delivery != 3 {
		t.Errorf("standard input is %s", stdin)
	}
	env, err := shell(`echo "$FENFA_TASK_ID $FENFA_TASK_QUEUE $FENFA_TASK_KEY $FENFA_TASK_TYPE $FENFA_TASK_ATTEMPT $FENFA_TASK_DELIVERY"`).run(t.Context(), task, unheard)
	if err != nil || string(env) != "id-1 mail k welcome 2 3" {
		t.Errorf("environment is %q, %v", env, err)
	}
}

func TestTimeoutKillsTheWholeProcessGroup(t *testing.T) {
	dir := t.TempDir()
	pids := filepath.Join(dir, "pids")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := shell("sleep 1000 & echo $! >"+pids+".new; mv "+pids+".new "+pids+"; echo about to wait >&2; wait").run(ctx, execTask{}, unheard)
		ended <- err
	}()
	var text []byte
	waitFor(t, func() bool {
		var err error
		text, err = os.ReadFile(pids)
		return err == nil
	})
	cancel()
	err := <-ended
	if err == nil || !strings.Contains(err.Error(), "the command was killed") || kindOf(err) != "retry" {
		t.Errorf("got %v, want a failed attempt", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	// Gone, or a zombie that whoever inherited it has not collected yet.
	waitFor(t, func() bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || err == nil && strings.Contains(string(stat), ") Z ")
	})
}

// waitFor polls for something that another process does; it has no signal to
// wait for.
func waitFor(t *testing.T, reached func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-tick.C {
		if reached() {
			return
		}
	}
	t.Fatal("it did not happen within a minute")
}

func TestOnlyTheEndOfStandardErrorIsKept(t *testing.T) {
	_, err := shell("head -c 100000 /dev/zero | tr '\\0' x >&2; echo the end >&2; exit 1").run(t.Context(), execTask{}, unheard)
	if err == nil || !strings.HasSuffix(err.Error(), "the end") || len(err.Error()) > 2200 || len(err.Error()) < 2000 {
		t.Errorf("error of %d bytes ends with %.20q", len(err.Error()), err.Error()[max(0, len(err.Error())-20):])
	}
}

// The command of a cancelled task may finish, and is killed only where it does not.
func TestCommandOfACancelledTaskGetsSIGTERM(t *testing.T) {
	for name, c := range map[string]struct{ onTerm, kind, result string }{
		"finishes":      {"echo half; exit 0", "done", "half"},
		"gives up":      {"exit 3", "retry", ""},
		"knows nothing": {"trap - TERM; kill -TERM $$", "retry", ""},
	} {
		t.Run(name, func(t *testing.T) {
			ready := filepath.Join(t.TempDir(), "ready")
			ctx, cancel := context.WithCancelCause(t.Context())
			type ending struct {
				result []byte
				err    error
			}
			ended := make(chan ending, 1)
			go func() {
				result, err := shell("trap '"+c.onTerm+"' TERM; touch "+ready+"; sleep 1000 & wait").run(ctx, execTask{}, unheard)
				ended <- ending{result, err}
			}()
			waitFor(t, func() bool {
				_, err := os.Stat(ready)
				return err == nil
			})
			cancel(fenfa.ErrCancelled)
			got := <-ended
			if kindOf(got.err) != c.kind || string(got.result) != c.result {
				t.Errorf("got %s with %q (%v), want %s with %q", kindOf(got.err), got.result, got.err, c.kind, c.result)
			}
			if got.err != nil && !errors.Is(got.err, fenfa.ErrCancelled) {
				t.Errorf("the error does not say that it was cancelled: %v", got.err)
			}
		})
	}
}
