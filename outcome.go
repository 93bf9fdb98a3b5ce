package fenfa

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// maxErrorText bounds what an outcome says about an error, in bytes.
const maxErrorText = 4 << 10

// Reject marks err as final: a handler that returns it makes its task a dead
// letter at once, without further attempts. Reject(nil) is nil.
func Reject(err error) error {
	if err == nil {
		return nil
	}
	return &rejectError{err}
}

// RetryAfter marks err so that a handler that returns it has its task tried again
// after d instead of after the delay that the retry policy draws. The attempt
// counts as a failed one. A negative d counts as 0. RetryAfter(d, nil) is nil.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &retryError{after: max(d, 0), err: err}
}

// GiveBack marks err so that a handler that returns it has its task handed out again,
// to this worker or another one, and neither an attempt nor a delivery is counted:
// for a handler that finds, before it had an effect, that nobody can work now,
// because something that all tasks need is away. Where tasks have order, those of the
// key wait behind it. What the handler wrote or emitted is dropped. A task that is
// given back again and again is handed out again after up to a second; call
// Worker.Quiet to get none meanwhile. GiveBack(nil) is nil.
func GiveBack(err error) error {
	if err == nil {
		return nil
	}
	return &giveBackError{err}
}

type giveBackError struct{ err error }

// Error implements error.
func (e *giveBackError) Error() string { return e.err.Error() }

// Unwrap returns the marked error.
func (e *giveBackError) Unwrap() error { return e.err }

type rejectError struct{ err error }

// Error implements error.
func (e *rejectError) Error() string { return e.err.Error() }

// Unwrap returns the marked error.
func (e *rejectError) Unwrap() error { return e.err }

type retryError struct {
	after time.Duration
	err   error
}

// Error implements error.
func (e *retryError) Error() string { return e.err.Error() }

// Unwrap returns the marked error.
func (e *retryError) Unwrap() error { return e.err }

// failedOutcome is the outcome of a failed attempt.
func failedOutcome(err error) *fenfav1.Outcome {
	o := &fenfav1.Outcome{Kind: fenfav1.OutcomeKind_OUTCOME_KIND_RETRY, Error: errorText(err)}
	if _, ok := errors.AsType[*rejectError](err); ok {
		o.Kind = fenfav1.OutcomeKind_OUTCOME_KIND_DEAD
	} else if retry, ok := errors.AsType[*retryError](err); ok {
		o.RetryAfter = durationpb.New(retry.after)
	}
	return o
}

// errorText makes an error's text fit to travel.
func errorText(err error) string {
	text := strings.ToValidUTF8(err.Error(), "\ufffd")
	if len(text) > maxErrorText {
		const mark = " …"
		text = strings.ToValidUTF8(text[:maxErrorText-len(mark)], "") + mark
	}
	return text
}

// panicError describes a handler's panic with the first lines of its stack: those
// from where it happened.
func panicError(value any) error {
	const most = 2 << 10
	stack := string(debug.Stack())
	if _, below, ok := strings.Cut(stack, "\npanic("); ok {
		if _, frames, ok := strings.Cut(below, "\n"); ok {
			if _, frames, ok = strings.Cut(frames, "\n"); ok {
				stack = frames
			}
		}
	}
	if len(stack) > most {
		stack = stack[:strings.LastIndexByte(stack[:most], '\n')+1]
	}
	return fmt.Errorf("the handler panicked: %v\n%s", value, stack)
}
