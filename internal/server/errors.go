package server

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/task"
)

// outward is what a code becomes at the edge.
type outward struct {
	grpc codes.Code
	http int
	wire fenfav1.Code
}

// outwardOf is the closed table of codes.
func outwardOf(c task.Code) outward {
	switch c {
	case task.CodeInvalidArgument:
		return outward{codes.InvalidArgument, http.StatusBadRequest, fenfav1.Code_CODE_INVALID_ARGUMENT}
	case task.CodeNotFound:
		return outward{codes.NotFound, http.StatusNotFound, fenfav1.Code_CODE_NOT_FOUND}
	case task.CodeAlreadyExists:
		return outward{codes.AlreadyExists, http.StatusConflict, fenfav1.Code_CODE_ALREADY_EXISTS}
	case task.CodeConflict:
		return outward{codes.Aborted, http.StatusConflict, fenfav1.Code_CODE_CONFLICT}
	case task.CodeFailedPrecondition:
		return outward{codes.FailedPrecondition, http.StatusConflict, fenfav1.Code_CODE_FAILED_PRECONDITION}
	case task.CodeResourceExhausted:
		return outward{codes.ResourceExhausted, http.StatusTooManyRequests, fenfav1.Code_CODE_RESOURCE_EXHAUSTED}
	case task.CodeTooLarge:
		return outward{codes.InvalidArgument, http.StatusRequestEntityTooLarge, fenfav1.Code_CODE_TOO_LARGE}
	case task.CodeUnavailable:
		return outward{codes.Unavailable, http.StatusServiceUnavailable, fenfav1.Code_CODE_UNAVAILABLE}
	case task.CodeUnimplemented:
		return outward{codes.Unimplemented, http.StatusNotImplemented, fenfav1.Code_CODE_UNIMPLEMENTED}
	case task.CodeStale:
		return outward{codes.FailedPrecondition, http.StatusConflict, fenfav1.Code_CODE_STALE}
	case task.CodeUnauthenticated:
		return outward{codes.Unauthenticated, http.StatusUnauthorized, fenfav1.Code_CODE_UNAUTHENTICATED}
	case task.CodePermissionDenied:
		return outward{codes.PermissionDenied, http.StatusForbidden, fenfav1.Code_CODE_PERMISSION_DENIED}
	case task.CodeInternal, task.CodeUnknown:
	}
	return outward{codes.Internal, http.StatusInternalServerError, fenfav1.Code_CODE_INTERNAL}
}

// errorOf finds or makes the Error behind any error that a handler returns or
// that gRPC and the gateway make themselves.
func errorOf(err error) *task.Error {
	if e, ok := errors.AsType[*task.Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, context.Canceled):
		return task.Errorf(task.CodeUnavailable, "the caller went away: %w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return task.Errorf(task.CodeUnavailable, "the deadline of the request passed before there was an answer: %w", err)
	}
	if st, ok := status.FromError(err); ok {
		return errorOfStatus(st)
	}
	return task.Errorf(task.CodeInternal, "%w", err)
}

// errorOfStatus reads a status that was made by gRPC, the gateway or statusOf.
func errorOfStatus(st *status.Status) *task.Error {
	for _, d := range st.Details() {
		if w, ok := d.(*fenfav1.Error); ok {
			return &task.Error{Code: codeOf(w.GetCode()), Message: w.GetMessage(), Field: w.GetField(), RetryAfter: w.GetRetryAfter().AsDuration()}
		}
	}
	code := task.CodeInternal
	for c := task.CodeInvalidArgument; c <= task.CodePermissionDenied; c++ {
		if outwardOf(c).grpc == st.Code() {
			code = c
			break
		}
	}
	switch {
	case st.Code() == codes.ResourceExhausted && strings.Contains(st.Message(), "larger than max"):
		// gRPC refuses a message by its length alone, before it reads it.
		code = task.CodeTooLarge
	case st.Code() == codes.Canceled || st.Code() == codes.DeadlineExceeded:
		code = task.CodeUnavailable
	}
	e := task.Errorf(code, "%s", plainMessage(st.Message()))
	e.Field = unknownField(st.Message())
	return e
}

func codeOf(w fenfav1.Code) task.Code {
	for c := task.CodeInvalidArgument; c <= task.CodePermissionDenied; c++ {
		if outwardOf(c).wire == w {
			return c
		}
	}
	return task.CodeInternal
}

// plainMessage drops the prefix of the protobuf library, whose space varies.
func plainMessage(message string) string {
	for _, prefix := range []string{"proto:\u00a0", "proto: "} {
		message = strings.TrimPrefix(message, prefix)
	}
	return message
}

// unknownField returns the field that a JSON decoder complains of, or "".
func unknownField(message string) string {
	_, rest, ok := strings.Cut(message, `unknown field "`)
	if !ok {
		return ""
	}
	field, _, _ := strings.Cut(rest, `"`)
	return field
}

// statusOf turns any error into a gRPC status with a fenfa.v1.Error as detail.
func statusOf(err error) error {
	if err == nil {
		return nil
	}
	e := errorOf(err)
	code := outwardOf(e.Code).grpc
	switch {
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	}
	st, detailErr := status.New(code, e.Message).WithDetails(errorToWire(e))
	if detailErr != nil {
		return status.Error(code, e.Message)
	}
	return st.Err()
}

// errorToWire is the error as it stands in results and details.
func errorToWire(e *task.Error) *fenfav1.Error {
	w := &fenfav1.Error{Code: outwardOf(e.Code).wire, Message: text(e.Message), Field: text(e.Field)}
	if e.RetryAfter > 0 {
		w.RetryAfter = durationpb.New(e.RetryAfter)
	}
	return w
}

// text makes s fit for a protobuf string: what was cut in the middle of a
// character must not spoil the whole message.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
