package fenfa

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

func TestCodesHaveTheNumbersOfTheWire(t *testing.T) {
	for number, name := range fenfav1.Code_name {
		code := codeFromWire(fenfav1.Code(number))
		want := strings.ToLower(strings.TrimPrefix(name, "CODE_"))
		if want == "unspecified" {
			want = "unknown"
		}
		if code.String() != want {
			t.Errorf("%s is read as %s", name, code)
		}
	}
	if got := codeFromWire(99); got != CodeUnknown {
		t.Errorf("a code of a later version is read as %s", got)
	}
	if got := Code(99).String(); got != "unknown" {
		t.Errorf("a code that is none is called %s", got)
	}
}

func TestErrorsAreComparable(t *testing.T) {
	sentinels := map[Code]error{
		CodeNotFound: ErrNotFound, CodeAlreadyExists: ErrAlreadyExists, CodeConflict: ErrConflict, CodeResourceExhausted: ErrResourceExhausted,
		CodeTooLarge: ErrTooLarge, CodeUnavailable: ErrUnavailable, CodeStale: ErrStale,
		CodeUnauthenticated: ErrUnauthenticated, CodePermissionDenied: ErrPermissionDenied,
	}
	for code := CodeUnknown; code <= CodePermissionDenied; code++ {
		err := fmt.Errorf("do: %w", errorf(code, "cause: %w", io.ErrUnexpectedEOF))
		for of, sentinel := range sentinels {
			if errors.Is(err, sentinel) != (of == code) {
				t.Errorf("error of code %s compares wrongly with %v", code, sentinel)
			}
		}
		if CodeOf(err) != code || !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("error %v lost its code or cause", err)
		}
	}
	if CodeOf(io.EOF) != CodeInternal {
		t.Error("a foreign error is not internal")
	}
}

func TestErrorsOfCallsBecomeErrors(t *testing.T) {
	c := &Client{addr: "node:1"}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name string
		ctx  context.Context //nolint:containedctx // It is the case.
		err  error
		code Code
		text string
		is   error
	}{
		{"the node's own", t.Context(), refusal(codes.NotFound, &fenfav1.Error{Code: fenfav1.Code_CODE_CONFLICT, Message: "m", Field: "f", RetryAfter: durationpb.New(time.Second)}), CodeConflict, "m", ErrConflict},
		{"no connection", t.Context(), status.Error(codes.Unavailable, "refused"), CodeUnavailable, "node:1", ErrNoConnection},
		{"cancelled", ended, status.Error(codes.Canceled, "c"), CodeUnavailable, "node:1", context.Canceled},
		{"deadline before the context's", t.Context(), status.Error(codes.DeadlineExceeded, "d"), CodeUnavailable, "d", context.DeadlineExceeded},
		{"cancelled by gRPC", t.Context(), status.Error(codes.Canceled, "c"), CodeUnavailable, "c", context.Canceled},
		{"end of stream", t.Context(), io.EOF, CodeUnavailable, "node:1", io.EOF},
		{"message too large", t.Context(), status.Error(codes.ResourceExhausted, "l"), CodeTooLarge, "l", ErrTooLarge},
		{"no permission", t.Context(), status.Error(codes.PermissionDenied, "p"), CodePermissionDenied, "p", nil},
		{"no service", t.Context(), status.Error(codes.Unimplemented, "u"), CodeUnimplemented, "u", nil},
		{"not there", t.Context(), status.Error(codes.NotFound, "n"), CodeNotFound, "n", ErrNotFound},
		{"there", t.Context(), status.Error(codes.AlreadyExists, "n"), CodeAlreadyExists, "n", ErrAlreadyExists},
		{"aborted", t.Context(), status.Error(codes.Aborted, "a"), CodeConflict, "a", ErrConflict},
		{"precondition", t.Context(), status.Error(codes.FailedPrecondition, "a"), CodeFailedPrecondition, "a", nil},
		{"a defect", t.Context(), status.Error(codes.Internal, "i"), CodeInternal, "i", nil},
		{"no status", t.Context(), errors.New("x"), CodeInternal, "x", nil},
		{"an Error", t.Context(), fmt.Errorf("w: %w", errorf(CodeStale, "s")), CodeStale, "s", ErrStale},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := c.errorOf(test.ctx, test.err)
			if got.Code != test.code || !strings.Contains(got.Message, test.text) {
				t.Errorf("%+v, want code %s and %q", got, test.code, test.text)
			}
			if test.is != nil && !errors.Is(got, test.is) {
				t.Errorf("%v is not %v", got, test.is)
			}
		})
	}
	own := c.errorOf(t.Context(), refusal(codes.Aborted, &fenfav1.Error{Code: fenfav1.Code_CODE_CONFLICT, Field: "f", RetryAfter: durationpb.New(time.Second)}))
	if own.Field != "f" || own.RetryAfter != time.Second {
		t.Errorf("details are lost: %+v", own)
	}
}

func TestMarkingNoErrorIsNone(t *testing.T) {
	if Reject(nil) != nil || RetryAfter(time.Second, nil) != nil {
		t.Error("a marked nil is an error")
	}
	for _, err := range []error{Reject(io.EOF), RetryAfter(1, io.EOF)} {
		if !errors.Is(err, io.EOF) || err.Error() != "EOF" {
			t.Errorf("%v hides what it marks", err)
		}
	}
}
