package task

import (
	"errors"
	"fmt"
	"time"
)

// Code is the closed set of reasons for a refusal. Codes map one to one to gRPC
// codes and HTTP statuses at the edge.
type Code uint8

// The codes. CodeUnknown is never returned on purpose: it marks a defect.
const (
	CodeUnknown            Code = iota
	CodeInvalidArgument         // the request is wrong, and stays wrong when repeated
	CodeNotFound                // no such queue, task or record
	CodeAlreadyExists           // the same task ID with different content
	CodeConflict                // a version or an epoch was not the expected one
	CodeFailedPrecondition      // the request is fine, the state of things is not
	CodeResourceExhausted       // a limit is reached; RetryAfter says when to come back
	CodeTooLarge                // a size limit is exceeded
	CodeUnavailable             // not now, not here; a repeat is safe
	CodeUnimplemented           // a known operation that this version refuses
	CodeInternal                // a failure inside; the message says of what
	CodeStale                   // the lease or the epoch behind the request has ended
	CodeUnauthenticated         // no token, or none that counts
	CodePermissionDenied        // the token has no scope for this
)

// String returns the code as it appears in JSON and logs, in snake case.
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

// Error is the one error type that reaches callers: a closed code, a message
// for a person that says what was wrong and what to do, and where it helps the
// field at fault and a delay after which a repeat may succeed.
type Error struct {
	Code       Code
	Message    string
	Field      string        // path of the field at fault, or empty
	RetryAfter time.Duration // zero: a repeat does not help, or at once
	Cause      error
}

// Errorf builds an Error; a %w verb sets the cause.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Cause: errors.Unwrap(err)}
}

// WithField names the field at fault and returns the receiver.
func (e *Error) WithField(field string) *Error {
	e.Field = field
	return e
}

// WithRetryAfter sets the delay after which a repeat may succeed.
func (e *Error) WithRetryAfter(d time.Duration) *Error {
	e.RetryAfter = d
	return e
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf returns the code of the first Error in err's chain, and CodeInternal
// for any other error.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}
