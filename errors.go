package fenfa

import (
	"errors"
	"fmt"
	"time"
)

// Code is the closed set of reasons for a refusal.
type Code uint8

// The codes. CodeUnknown marks what came from a node of a later version.
const (
	CodeUnknown            Code = iota
	CodeInvalidArgument         // the request is wrong, and stays wrong when repeated
	CodeNotFound                // no such queue, task, record or dead letter
	CodeAlreadyExists           // the same task ID with different content
	CodeConflict                // a version was not the expected one
	CodeFailedPrecondition      // the request is fine, the state of things is not
	CodeResourceExhausted       // a limit is reached; RetryAfter says when to come back
	CodeTooLarge                // a size limit is exceeded
	CodeUnavailable             // not now, or not from here; a repeat is safe
	CodeUnimplemented           // a known operation that the node refuses
	CodeInternal                // a failure inside; the message says of what
	CodeStale                   // the lease behind the request has ended
	CodeUnauthenticated         // no token, or none that counts
	CodePermissionDenied        // the token has no scope for this
)

// String returns the code in snake case, as it appears in JSON.
func (c Code) String() string {
	names := [...]string{
		"unknown", "invalid_argument", "not_found", "already_exists", "conflict", "failed_precondition",
		"resource_exhausted", "too_large", "unavailable", "unimplemented", "internal", "stale",
		"unauthenticated", "permission_denied",
	}
	if int(c) < len(names) {
		return names[c]
	}
	return names[CodeUnknown]
}

// Errors to compare with by errors.Is: each stands for every Error of its code.
var (
	ErrNotFound          = errors.New("not found")
	ErrAlreadyExists     = errors.New("already exists")
	ErrConflict          = errors.New("conflict")
	ErrResourceExhausted = errors.New("resource exhausted")
	ErrTooLarge          = errors.New("too large")
	ErrUnavailable       = errors.New("unavailable")
	ErrStale             = errors.New("stale")
	ErrUnauthenticated   = errors.New("unauthenticated")
	ErrPermissionDenied  = errors.New("permission denied")
	// ErrBound stands for those that say that a counter cannot take what is to be added
	// to it: it would be out of its bounds. Their code is CodeFailedPrecondition.
	ErrBound = errors.New("out of bounds")
)

// ErrCancelled is the cause, as context.Cause tells it, with which a handler's context
// ends when its task is cancelled.
var ErrCancelled = errors.New("the task was cancelled")

// fieldBound is the field of an ErrBound.
const fieldBound = "bound"

// ErrUnknownOutcome marks the error of a Submit that was sent and not answered:
// the task may be durable or not. Submitting the same Task again is safe, because
// it keeps its ID.
var ErrUnknownOutcome = errors.New("unknown outcome")

// ErrNoConnection marks an error of a client that has no connection to its node: the
// request was not sent.
var ErrNoConnection = errors.New("no connection")

// Error is the type of every error that a node answers or that the client finds
// in a request: a closed code, a message for a person that says what was wrong
// and what to do, and where it helps the field at fault and a delay.
type Error struct {
	Code       Code
	Message    string
	Field      string        // path of the field at fault, or empty
	RetryAfter time.Duration // zero: a repeat does not help, or may come at once

	cause   error
	unknown bool // sent and not answered
	unsent  bool // given up before it was sent
	away    bool // there was no connection
}

// errorf builds an Error; a %w verb sets the cause.
func errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), cause: errors.Unwrap(err)}
}

func (e *Error) withField(field string) *Error {
	e.Field = field
	return e
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target stands for the error's code, is ErrUnknownOutcome and the
// outcome is unknown, or is ErrNoConnection and there was none.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Code == CodeNotFound
	case ErrAlreadyExists:
		return e.Code == CodeAlreadyExists
	case ErrConflict:
		return e.Code == CodeConflict
	case ErrResourceExhausted:
		return e.Code == CodeResourceExhausted
	case ErrTooLarge:
		return e.Code == CodeTooLarge
	case ErrUnavailable:
		return e.Code == CodeUnavailable
	case ErrStale:
		return e.Code == CodeStale
	case ErrUnauthenticated:
		return e.Code == CodeUnauthenticated
	case ErrPermissionDenied:
		return e.Code == CodePermissionDenied
	case ErrBound:
		return e.Field == fieldBound && e.Code == CodeFailedPrecondition
	case ErrUnknownOutcome:
		return e.unknown
	case ErrNoConnection:
		return e.away || e.unsent
	}
	return false
}

// CodeOf returns the code of the first Error in err's chain, and CodeInternal
// for any other error.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// clip shortens what a caller brought before it goes into a message.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s… (%d bytes)", s[:most], len(s))
}
