package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

// Exit codes. docs/cli.md lists them; they are a promise to scripts.
const (
	exitOK          = 0
	exitCheck       = 1   // a check that the command is there for has failed
	exitUsage       = 2   // the command line or the configuration is wrong
	exitRefused     = 3   // the request or the input is invalid, or was refused
	exitNotFound    = 4   // no such task, queue, record or dead letter
	exitUnavailable = 5   // no node, or not now: a repeat may succeed
	exitNode        = 6   // the node cannot start or go on: port, data directory, disk
	exitInternal    = 7   // a failure inside of fenfa
	exitLost        = 8   // the lock was lost while its command ran
	exitEnded       = 9   // a task that was waited for is dead, cancelled or expired
	exitWaited      = 10  // a task that was waited for has not ended in time
	exitInterrupted = 130 // ended by SIGINT or SIGTERM
)

// exitMeanings is the table of docs/cli.md.
func exitMeanings() [][2]string {
	return [][2]string{
		{"0", "done"},
		{"1", "a check failed: the demo found a broken promise, `cluster health` found a node that is not ready, `state audit` found damage, or a `state move` was undone"},
		{"2", "the command line or the configuration is wrong; nothing was done"},
		{"3", "refused: the request or a line of the input is invalid, too large, in conflict with what is there, or not possible now"},
		{"4", "not found: no such task, queue, record or dead letter"},
		{"5", "unavailable: no node answers, or it is overloaded; a repeat is safe and may succeed"},
		{"6", "the node cannot start or go on: port in use, data directory locked, damaged or of a newer format, disk full"},
		{"7", "a failure inside of fenfa; please report it"},
		{"8", "`lock acquire` lost the lock while its command ran, and ended it"},
		{"9", "`task wait` or `submit --wait`: a task is dead, cancelled or expired"},
		{"10", "`task wait` or `submit --wait`: a task has not ended within --wait-timeout"},
		{"130", "interrupted by SIGINT or SIGTERM"},
	}
}

// errInterrupted is the cause of a context that a signal cancelled.
var errInterrupted = errors.New("interrupted")

// exitError says that a command that was run for the user ended with a code of its
// own, which is passed on without a word.
type exitError struct{ code int }

// Error tells of the code.
func (e *exitError) Error() string {
	return fmt.Sprintf("the command ended with exit code %d", e.code)
}

// failure is an error with what a person should do next.
type failure struct {
	exit int // 0: by the code of the cause
	text string
	hint string
	err  error // cause, may be nil
}

// Error returns the text.
func (f *failure) Error() string { return f.text }

// Unwrap returns the cause.
func (f *failure) Unwrap() error { return f.err }

func (f *failure) withHint(format string, args ...any) *failure {
	f.hint = fmt.Sprintf(format, args...)
	return f
}

// usagef makes an error of the command line.
func usagef(format string, args ...any) *failure { return failuref(exitUsage, format, args...) }

// failuref makes an error with an exit code of its own; a %w verb sets the cause.
func failuref(exit int, format string, args ...any) *failure {
	err := fmt.Errorf(format, args...)
	return &failure{exit: exit, text: err.Error(), err: errors.Unwrap(err)}
}

// hinted adds what to do next to an error with one of the given codes.
func hinted(err error, hint string, codes ...fenfa.Code) error {
	if err == nil || !slices.Contains(codes, fenfa.CodeOf(err)) {
		return err
	}
	return &failure{text: err.Error(), hint: hint, err: err}
}

func isCancel(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, errInterrupted)
}

// exitCode returns the exit code of an error.
func exitCode(err error) int {
	if f, ok := errors.AsType[*failure](err); ok && f.exit != 0 {
		return f.exit
	}
	if errors.Is(err, errInterrupted) {
		return exitInterrupted
	}
	if _, ok := errors.AsType[*fenfa.Error](err); !ok {
		if errors.Is(err, context.DeadlineExceeded) {
			return exitUnavailable
		}
		return exitInternal
	}
	switch fenfa.CodeOf(err) {
	case fenfa.CodeNotFound:
		return exitNotFound
	case fenfa.CodeUnavailable, fenfa.CodeResourceExhausted:
		return exitUnavailable
	case fenfa.CodeInvalidArgument, fenfa.CodeAlreadyExists, fenfa.CodeConflict, fenfa.CodeFailedPrecondition,
		fenfa.CodeTooLarge, fenfa.CodeUnimplemented, fenfa.CodeStale, fenfa.CodeUnauthenticated, fenfa.CodePermissionDenied:
		return exitRefused
	default:
		return exitInternal
	}
}

// hintOf says what to do next.
func hintOf(err error) string {
	if f, ok := errors.AsType[*failure](err); ok && f.hint != "" {
		return f.hint
	}
	if errors.Is(err, fenfa.ErrNoConnection) {
		return "start a node with `fenfa serve`, or name another one with --addr or FENFA_ADDR"
	}
	switch fenfa.CodeOf(err) {
	case fenfa.CodeUnauthenticated:
		return "show a token with --token-file or FENFA_TOKEN"
	case fenfa.CodePermissionDenied:
		return "whoever has a token with *:admin can make one with that scope: `fenfa token create --help`"
	default:
		return ""
	}
}

// errorView is an error in JSON.
type errorView struct {
	Code         string `json:"code"`
	Message      string `json:"message"`
	Field        string `json:"field,omitempty"`
	RetryAfterMS int64  `json:"retry_after_ms,omitempty"`
	Hint         string `json:"hint,omitempty"`
	Exit         int    `json:"exit"`
}

// report writes an error for a person, or for a program, and returns its exit
// code.
func report(out io.Writer, err error, asJSON bool) int {
	code, hint := exitCode(err), hintOf(err)
	if !asJSON {
		fmt.Fprintf(out, "fenfa: %v\n", err)
		if hint != "" {
			fmt.Fprintf(out, "  %s\n", hint)
		}
		return code
	}
	view := errorView{Code: codeName(err, code), Message: err.Error(), Hint: hint, Exit: code}
	if e, ok := errors.AsType[*fenfa.Error](err); ok {
		view.Field, view.RetryAfterMS = e.Field, e.RetryAfter.Milliseconds()
	}
	// Encoding it cannot fail, and there is no place left to tell.
	_ = json.NewEncoder(out).Encode(map[string]errorView{"error": view})
	return code
}

// codeName names an error for a program: the API's code, or what the exit code
// means.
func codeName(err error, exit int) string {
	if e, ok := errors.AsType[*fenfa.Error](err); ok {
		return e.Code.String()
	}
	switch exit {
	case exitCheck:
		return "check_failed"
	case exitUsage:
		return "usage"
	case exitRefused:
		return fenfa.CodeInvalidArgument.String()
	case exitNotFound:
		return fenfa.CodeNotFound.String()
	case exitUnavailable:
		return fenfa.CodeUnavailable.String()
	case exitNode:
		return "node"
	case exitLost:
		return "lost"
	case exitInterrupted:
		return "interrupted"
	default:
		return fenfa.CodeInternal.String()
	}
}

// wantsJSON reports whether errors are for a program. When the command line could
// not be parsed, the flag may not have been reached.
func wantsJSON(cmd *cobra.Command, args []string) bool {
	if cmd != nil {
		if f := cmd.Flags().Lookup("json"); f != nil && f.Value.String() == "true" {
			return true
		}
	}
	for _, arg := range args {
		if arg == "--" {
			return false
		}
		if arg == "--json" || arg == "--json=true" {
			return true
		}
	}
	return false
}
