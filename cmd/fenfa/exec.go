package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fenfa/fenfa"
)

// Exit codes of a worker's command, from sysexits.h.
const (
	execReject = 65 // EX_DATAERR
	execRetry  = 75 // EX_TEMPFAIL
)

const (
	maxExecResult = 256 << 10 // bytes of standard output
	maxExecError  = 2 << 10   // bytes of the end of standard error
	pipePatience  = time.Second
	// stopPatience is how long a command whose task was cancelled may take to end after
	// SIGTERM.
	stopPatience = 5 * time.Second
)

// execHandler runs a command for each task.
type execHandler struct {
	shell   string
	command string
	env     []string
	tell    func(text string) // of what a command writes that is not understood; nil: nobody
}

// execRun is one run of the command.
type execRun struct {
	stdin []byte
	env   []string
	out   io.Writer
	hear  func(line []byte) error // takes news of the tasks
}

// execTask is a task on a command's standard input.
type execTask struct {
	ID            string            `json:"id"`
	Queue         string            `json:"queue"`
	Key           string            `json:"key,omitempty"`
	Type          string            `json:"type,omitempty"`
	Payload       json.RawMessage   `json:"payload,omitempty"`
	PayloadBase64 []byte            `json:"payload_base64,omitempty"`
	Headers       map[string]string `json:"headers,omitempty"`
	Attempt       int               `json:"attempt"`
	Delivery      int               `json:"delivery"`
	CreatedAt     string            `json:"created_at,omitempty"`
}

// handle runs the command for one task; its exit code decides.
func (h *execHandler) handle(ctx context.Context, t *fenfa.Task) error {
	result, err := h.run(ctx, execTaskOf(t), hearing(t))
	if err != nil {
		return err
	}
	return t.Return(result)
}

func execTaskOf(t *fenfa.Task) execTask {
	in := execTask{
		ID: t.ID().String(), Queue: t.Queue(), Key: t.Key(), Type: t.Type(), Headers: t.Headers(),
		Attempt: t.Attempt(), Delivery: t.Delivery(), CreatedAt: timeView(t.CreatedAt()),
	}
	in.Payload, in.PayloadBase64 = viewBytes(t.Payload())
	return in
}

// run runs the command for one task and returns what it wrote to standard output.
func (h *execHandler) run(ctx context.Context, task execTask, hear func(line []byte) error) ([]byte, error) {
	stdin, err := json.Marshal(task)
	if err != nil {
		return nil, fenfa.Reject(fmt.Errorf("encode task: %w", err))
	}
	out := &capped{most: maxExecResult}
	err = h.start(ctx, execRun{stdin: append(stdin, '\n'), out: out, hear: hear, env: []string{
		"FENFA_TASK_ID=" + task.ID, "FENFA_TASK_QUEUE=" + task.Queue, "FENFA_TASK_KEY=" + task.Key, "FENFA_TASK_TYPE=" + task.Type,
		"FENFA_TASK_ATTEMPT=" + strconv.Itoa(task.Attempt), "FENFA_TASK_DELIVERY=" + strconv.Itoa(task.Delivery),
	}})
	if err != nil {
		return nil, err
	}
	if out.overflow {
		return nil, fenfa.Reject(fmt.Errorf("the command wrote more than %d bytes of result", maxExecResult))
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(out.kept, []byte("\n")), []byte("\r")), nil
}

// start runs the command once, and returns why it did not end well.
func (h *execHandler) start(ctx context.Context, run execRun) error {
	news, err := openNews(run.hear, h.complain)
	if err != nil {
		return err
	}
	tail := &tailed{most: maxExecError}
	killing, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	cmd := exec.CommandContext(killing, h.shell, "-c", h.command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(run.stdin), run.out, tail
	cmd.Env = slices.Concat(h.env, run.env, []string{"FENFA_PROGRESS_FD=" + newsDescriptor})
	cmd.ExtraFiles = []*os.File{news.writer}
	// What the command started is killed with it: all of them are one group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// A process that left the group may still hold the pipes.
	cmd.WaitDelay = pipePatience
	err = runUntil(ctx, cmd, kill)
	closeErr := news.close()
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, fenfa.ErrCancelled) && err != nil:
		return fmt.Errorf("the command was ended: %w%s", cause, tail.text())
	case ctx.Err() != nil && !errors.Is(cause, fenfa.ErrCancelled):
		return fmt.Errorf("the command was killed: %w%s", cause, tail.text())
	case errors.Is(err, exec.ErrWaitDelay), err == nil:
		return closeErr
	default:
		return outcomeOf(err, tail.text())
	}
}

// complain tells of a line about progress that was not taken.
func (h *execHandler) complain(line []byte, err error) {
	if h.tell != nil {
		h.tell(fmt.Sprintf("a line of the command on file descriptor %s is not taken: %v: %s", newsDescriptor, err, clip(line, 120)))
	}
}

// runUntil runs a command until it ends, or until ctx ends and it is killed. One whose
// task was cancelled gets SIGTERM first, with all that it started.
func runUntil(ctx context.Context, cmd *exec.Cmd, kill func()) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	ended, stopped := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		defer kill()
		if !errors.Is(context.Cause(ctx), fenfa.ErrCancelled) || syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) != nil {
			return
		}
		timer := time.NewTimer(stopPatience)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
		}
	})
	err := cmd.Wait()
	close(ended)
	if !stop() {
		<-stopped
	}
	return err
}

// outcomeOf turns the end of a command into the error that decides.
func outcomeOf(err error, tail string) error {
	ended, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		// It could not be started; the next attempt may find it.
		return fmt.Errorf("run command: %w", err)
	}
	switch code := ended.ExitCode(); code {
	case execReject:
		return fenfa.Reject(fmt.Errorf("rejected (exit code %d)%s", code, tail))
	case execRetry:
		return fmt.Errorf("to be tried again (exit code %d)%s", code, tail)
	case -1:
		return fmt.Errorf("the command ended by a signal (%s)%s", ended.ProcessState, tail)
	default:
		return fmt.Errorf("exit code %d%s", code, tail)
	}
}

// capped keeps the beginning of what is written to it.
type capped struct {
	most     int
	kept     []byte
	overflow bool
}

// Write implements io.Writer; it never fails, so that the command is not
// disturbed.
func (c *capped) Write(p []byte) (int, error) {
	room := c.most - len(c.kept)
	c.kept = append(c.kept, p[:min(room, len(p))]...)
	c.overflow = c.overflow || len(p) > room
	return len(p), nil
}

// tailed keeps the end of what is written to it.
type tailed struct {
	most int
	kept []byte
}

// Write implements io.Writer; it never fails.
func (t *tailed) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if len(t.kept) > 2*t.most {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-t.most:]...)
	}
	return len(p), nil
}

// text returns the end as a part of a message, or nothing.
func (t *tailed) text() string {
	kept := t.kept[max(0, len(t.kept)-t.most):]
	text := strings.TrimSpace(strings.ToValidUTF8(string(kept), "?"))
	if text == "" {
		return ""
	}
	return ": " + text
}
