package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// holdLock runs a command under a lock that says that it runs and goes on until its
// input ends. It returns the function that ends it and gives its exit code.
func holdLock(t *testing.T, n *served, name, script string, flags ...string) (pid int, end func() int) {
	t.Helper()
	marker := filepath.Join(t.TempDir(), "token")
	args := append([]string{"lock", "acquire", name, "--addr", n.grpc}, flags...)
	cmd := fenfaCommand(t, append(args, "--", "sh", "-c", `echo "$FENFA_LOCK_TOKEN" >"$0.new"; mv "$0.new" "$0"; `+script, marker)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		b, err := os.ReadFile(marker)
		return err == nil && len(b) > 0
	})
	return cmd.Process.Pid, func() int {
		_ = in.Close()
		_ = cmd.Wait()
		return cmd.ProcessState.ExitCode()
	}
}

// acquire runs a command under lock l to its end.
func (n *served) acquire(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return process(t, "", append([]string{"lock", "acquire", "l", "--addr", n.grpc}, args...)...)
}

func TestACommandRunsWhileItsLockIsHeld(t *testing.T) {
	n := serveNode(t, t.TempDir())
	_, end := holdLock(t, n, "l", "cat; exit 42", "--holder", "first", "--ttl", "30s")
	var held lockView
	n.ok(t, &held, "lock", "show", "l")
	if held.Holder != "first" || held.TTL != "30s" || held.Token == 0 {
		t.Errorf("the lock is %+v", held)
	}
	if code, _, stderr := n.acquire(t, "--wait", "0s", "--", "touch", "never"); code != exitRefused || !strings.Contains(stderr, `"first"`) {
		t.Errorf("a held lock: exit code %d: %s", code, stderr)
	}
	var list struct{ Locks []lockView }
	n.ok(t, &list, "lock", "list")
	if len(list.Locks) != 1 || list.Locks[0].Name != "l" {
		t.Errorf("listed %+v", list)
	}
	if code := end(); code != 42 {
		t.Errorf("the command's exit code came out as %d", code)
	}
	if code, _, _ := n.run(t, "lock", "show", "l"); code != exitNotFound {
		t.Errorf("after the end: exit code %d", code)
	}
	code, stdout, stderr := n.acquire(t, "--", "sh", "-c", `echo "$FENFA_LOCK_NAME $FENFA_LOCK_TOKEN"`)
	name, token, _ := strings.Cut(strings.TrimSpace(stdout), " ")
	if next, err := strconv.ParseUint(token, 10, 64); code != exitOK || name != "l" || err != nil || next <= held.Token {
		t.Errorf("exit code %d, output %q after token %d: %s", code, stdout, held.Token, stderr)
	}
}

func TestACommandWhoseLockIsStolenIsEnded(t *testing.T) {
	n := serveNode(t, t.TempDir())
	for name, c := range map[string]struct{ script, grace string }{
		"by SIGTERM":                        {"exec sleep 1000", "1m"},
		"by SIGKILL where it does not obey": {"trap '' TERM; while :; do sleep 1000; done", "100ms"},
	} {
		t.Run(name, func(t *testing.T) {
			_, end := holdLock(t, n, "l", c.script, "--ttl", "3s", "--grace", c.grace)
			var stolen lockView
			n.ok(t, &stolen, "lock", "steal", "l", "--holder", "a person", "--ttl", "1h")
			if code := end(); code != exitLost {
				t.Errorf("exit code %d", code)
			}
			if code, _, stderr := n.run(t, "lock", "release", "l", "--token", "1"); code != exitRefused || !strings.Contains(stderr, "nothing changed") {
				t.Errorf("an old token: exit code %d: %s", code, stderr)
			}
			n.ok(t, &lockView{}, "lock", "release", "l", "--token", fmt.Sprint(stolen.Token))
		})
	}
}

func TestACommandUnderALockEndsWithItsSupervisor(t *testing.T) {
	n := serveNode(t, t.TempDir())
	pids := filepath.Join(t.TempDir(), "pid")
	pid, end := holdLock(t, n, "l", "echo $$ >"+pids+".new; mv "+pids+".new "+pids+"; sleep 1000", "--ttl", "2s")
	var command int
	waitFor(t, func() bool {
		b, err := os.ReadFile(pids)
		if err != nil {
			return false
		}
		command, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil
	})
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	end()
	waitFor(t, func() bool { return syscall.Kill(command, 0) != nil })
	waitFor(t, func() bool { code, _, _ := n.run(t, "lock", "show", "l"); return code == exitNotFound })
}

func TestAnInterruptEndsTheCommandAndFreesTheLock(t *testing.T) {
	n := serveNode(t, t.TempDir())
	pid, end := holdLock(t, n, "l", "cat >/dev/null; sleep 1000")
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := end(); code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	if code, _, _ := n.run(t, "lock", "show", "l"); code != exitNotFound {
		t.Errorf("the lock is still there: exit code %d", code)
	}
}

func TestAFencedPutNeedsTheTokenOfItsLock(t *testing.T) {
	n := serveNode(t, t.TempDir())
	_, end := holdLock(t, n, "a:b", "cat")
	var held lockView
	n.ok(t, &held, "lock", "show", "a:b")
	fence := fmt.Sprint("a:b:", held.Token)
	n.ok(t, &recordView{}, "state", "put", "a:b", "n", "1", "--any", "--fence", fence)
	end()
	if code, _, stderr := n.run(t, "state", "put", "a:b", "n", "2", "--any", "--fence", fence); code != exitRefused || !strings.Contains(stderr, "has ended") {
		t.Errorf("after the release: exit code %d: %s", code, stderr)
	}
	if code, _, stderr := n.run(t, "state", "get", "a:b", "fenfa.lock"); code != exitRefused || !strings.Contains(stderr, "fenfa lock") {
		t.Errorf("the record of a lock: exit code %d: %s", code, stderr)
	}
}

func TestWrongCommandLinesOfLocksSaySo(t *testing.T) {
	for name, args := range map[string][]string{
		"no name":                {"lock", "acquire"},
		"no name before dashes":  {"lock", "acquire", "--", "true"},
		"no command":             {"lock", "acquire", "l"},
		"nothing after dashes":   {"lock", "acquire", "l", "--"},
		"two names":              {"lock", "acquire", "l", "m", "--", "true"},
		"a command that is none": {"lock", "acquire", "l", "--", "/no/such/command"},
		"no grace":               {"lock", "acquire", "l", "--grace", "0s", "--", "true"},
		"no token":               {"lock", "release", "l"},
		"a fence without token":  {"state", "put", "k", "n", "v", "--any", "--fence", "l"},
		"a fence without lock":   {"state", "put", "k", "n", "v", "--any", "--fence", ":7"},
		"a fence of a word":      {"state", "put", "k", "n", "v", "--any", "--fence", "l:seven"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, _, stderr := process(t, "", args...); code != exitUsage || stderr == "" {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
}

func TestALockNeedsANodeThatAnswers(t *testing.T) {
	code, _, stderr := process(t, "", "lock", "acquire", "l", "--addr", freeAddr(t), "--timeout", "1s", "--", "true")
	if code != exitUnavailable {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestALockIsStolenAndHandedOnAtOnce(t *testing.T) {
	n := serveNode(t, t.TempDir())
	_, end := holdLock(t, n, "l", "cat", "--ttl", "1h")
	if code, stdout, stderr := n.run(t, "lock", "steal", "l", "--release"); code != exitOK || !strings.Contains(stdout, "released") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := n.acquire(t, "--wait", "0s", "--", "echo", "mine"); code != exitOK || stdout != "mine\n" {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if code := end(); code != exitLost {
		t.Errorf("the old holder ended with exit code %d", code)
	}
}
