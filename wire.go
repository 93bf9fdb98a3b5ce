package fenfa

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Delays between attempts: to connect, and to open a stream on a connection.
const (
	backoffBase    = 50 * time.Millisecond
	backoffMax     = 2 * time.Second
	backoffConnect = time.Second
)

// errorOf turns the error of a call into an Error: the node's own words where it
// said any, else what to do about a connection that is not there.
func (c *Client) errorOf(ctx context.Context, err error) *Error {
	if errors.Is(err, io.EOF) {
		return &Error{Code: CodeUnavailable, Message: fmt.Sprintf("the node at %s ended the stream", c.addr), cause: err}
	}
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	st, ok := status.FromError(err)
	if !ok {
		return &Error{Code: CodeInternal, Message: err.Error(), cause: err}
	}
	for _, detail := range st.Details() {
		if w, ok := detail.(*fenfav1.Error); ok {
			return errorFromWire(w)
		}
	}
	e := &Error{Code: codeOfStatus(st.Code()), Message: st.Message(), cause: err}
	switch cause := context.Cause(ctx); {
	case cause != nil:
		e.Code, e.away = CodeUnavailable, !c.connected()
		e.Message = fmt.Sprintf("no answer from the node at %s: %v", c.addr, cause)
		e.cause = errors.Join(cause, ctx.Err())
	case st.Code() == codes.DeadlineExceeded:
		e.cause = context.DeadlineExceeded
	case st.Code() == codes.Canceled:
		e.cause = context.Canceled
	case st.Code() == codes.Unavailable:
		e.away = true
		e.Message = fmt.Sprintf("no connection to the node at %s: %s; is it running (fenfa serve) and is the address right?", c.addr, st.Message())
	}
	return e
}

// connected reports whether there is a connection to the node.
func (c *Client) connected() bool { return c.conn != nil && c.conn.GetState() == connectivity.Ready }

func errorFromWire(w *fenfav1.Error) *Error {
	return &Error{Code: codeFromWire(w.GetCode()), Message: w.GetMessage(), Field: w.GetField(), RetryAfter: w.GetRetryAfter().AsDuration()}
}

// codeFromWire relies on both sets having the same numbers, which a test holds.
func codeFromWire(w fenfav1.Code) Code {
	if w < 0 || w > fenfav1.Code(CodePermissionDenied) {
		return CodeUnknown
	}
	return Code(w)
}

// codeOfStatus is for errors that did not come from the node itself.
func codeOfStatus(c codes.Code) Code {
	switch c {
	case codes.InvalidArgument, codes.OutOfRange:
		return CodeInvalidArgument
	case codes.Unauthenticated:
		return CodeUnauthenticated
	case codes.PermissionDenied:
		return CodePermissionDenied
	case codes.NotFound:
		return CodeNotFound
	case codes.AlreadyExists:
		return CodeAlreadyExists
	case codes.FailedPrecondition:
		return CodeFailedPrecondition
	case codes.ResourceExhausted:
		return CodeTooLarge
	case codes.Aborted:
		return CodeConflict
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded:
		return CodeUnavailable
	case codes.Unimplemented:
		return CodeUnimplemented
	case codes.OK, codes.Unknown, codes.Internal, codes.DataLoss:
	}
	return CodeInternal
}
