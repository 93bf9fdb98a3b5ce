package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/task"
)

func TestEveryCodeHasItsStatusOnBothSides(t *testing.T) {
	for _, c := range []struct {
		code task.Code
		grpc codes.Code
		http int
		wire fenfav1.Code
	}{
		{task.CodeInvalidArgument, codes.InvalidArgument, 400, fenfav1.Code_CODE_INVALID_ARGUMENT},
		{task.CodeNotFound, codes.NotFound, 404, fenfav1.Code_CODE_NOT_FOUND},
		{task.CodeAlreadyExists, codes.AlreadyExists, 409, fenfav1.Code_CODE_ALREADY_EXISTS},
		{task.CodeConflict, codes.Aborted, 409, fenfav1.Code_CODE_CONFLICT},
		{task.CodeFailedPrecondition, codes.FailedPrecondition, 409, fenfav1.Code_CODE_FAILED_PRECONDITION},
		{task.CodeResourceExhausted, codes.ResourceExhausted, 429, fenfav1.Code_CODE_RESOURCE_EXHAUSTED},
		{task.CodeTooLarge, codes.InvalidArgument, 413, fenfav1.Code_CODE_TOO_LARGE},
		{task.CodeUnavailable, codes.Unavailable, 503, fenfav1.Code_CODE_UNAVAILABLE},
		{task.CodeUnimplemented, codes.Unimplemented, 501, fenfav1.Code_CODE_UNIMPLEMENTED},
		{task.CodeInternal, codes.Internal, 500, fenfav1.Code_CODE_INTERNAL},
		{task.CodeStale, codes.FailedPrecondition, 409, fenfav1.Code_CODE_STALE},
		{task.CodeUnknown, codes.Internal, 500, fenfav1.Code_CODE_INTERNAL},
	} {
		if got := outwardOf(c.code); got != (outward{c.grpc, c.http, c.wire}) {
			t.Errorf("%s: got %+v", c.code, got)
		}
	}
	if len(fenfav1.Code_name) != int(task.CodePermissionDenied)+1 {
		t.Errorf("the wire has %d codes", len(fenfav1.Code_name))
	}
}

func TestAnErrorSurvivesTheWire(t *testing.T) {
	for code := task.CodeInvalidArgument; code <= task.CodePermissionDenied; code++ {
		in := task.Errorf(code, "what was wrong").WithField("tasks[2].id").WithRetryAfter(1500 * time.Millisecond)
		out := errorOf(statusOf(fmt.Errorf("handle: %w", in)))
		if out.Code != code || out.Message != in.Message || out.Field != in.Field || out.RetryAfter != in.RetryAfter {
			t.Errorf("%s became %+v", code, out)
		}
	}
	if statusOf(nil) != nil {
		t.Error("no error became one")
	}
}

func TestForeignErrorsGetACode(t *testing.T) {
	for _, c := range []struct {
		err   error
		code  task.Code
		grpc  codes.Code
		field string
	}{
		{errors.New("disk on fire"), task.CodeInternal, codes.Internal, ""},
		{fmt.Errorf("read: %w", context.Canceled), task.CodeUnavailable, codes.Canceled, ""},
		{context.DeadlineExceeded, task.CodeUnavailable, codes.DeadlineExceeded, ""},
		{status.Error(codes.InvalidArgument, "proto:\u00a0(line 1:2): unknown field \"taskz\""), task.CodeInvalidArgument, codes.InvalidArgument, "taskz"},
		{status.Error(codes.ResourceExhausted, "grpc: received message larger than max (99 vs. 5)"), task.CodeTooLarge, codes.InvalidArgument, ""},
		{status.Error(codes.Canceled, "client"), task.CodeUnavailable, codes.Unavailable, ""},
		{status.Error(codes.DataLoss, "odd"), task.CodeInternal, codes.Internal, ""},
	} {
		if e := errorOf(c.err); e.Code != c.code || e.Field != c.field {
			t.Errorf("%v: got %s, field %q", c.err, e.Code, e.Field)
		}
		if got := status.Code(statusOf(c.err)); got != c.grpc {
			t.Errorf("%v: got %s, want %s", c.err, got, c.grpc)
		}
	}
	if e := errorOf(status.Error(codes.InvalidArgument, "proto:\u00a0bad")); e.Message != "bad" {
		t.Errorf("message is %q", e.Message)
	}
	if outwardOf(task.CodeTooLarge).http != http.StatusRequestEntityTooLarge {
		t.Error("413 is lost")
	}
}

func TestTextIsAlwaysFitForTheWire(t *testing.T) {
	w := errorToWire(task.Errorf(task.CodeInternal, "cut \xe5\x88").WithField("\xff"))
	if w.GetMessage() != "cut \uFFFD" || w.GetField() != "\uFFFD" {
		t.Errorf("got %q, %q", w.GetMessage(), w.GetField())
	}
}
