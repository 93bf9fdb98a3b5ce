package server

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/readable"
	"github.com/fenfa/fenfa/internal/task"
)

// watchPath is where a watch is opened over HTTP.
const watchPath = "/v1/watch"

// watchHTTP streams changes as lines of JSON: those of a GET with the fields of the
// request in the query, or of a POST with the request as the body.
func (s *Server) watchHTTP(w http.ResponseWriter, r *http.Request) {
	req, err := s.watchRequest(r)
	if err == nil {
		err = s.permit(r.Context(), callerOf(r.Context()), fenfav1.WatchService_Watch_FullMethodName, req)
	}
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	ctx, cancel := s.streamContext(r.Context())
	defer cancel()
	stream, err := s.openWatch(ctx, req)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	defer stream.Close()
	out := newLines(w)
	if err := out.begin(); err != nil {
		s.writeError(w, r, err)
		return
	}
	s.endLines(w, r, out, true, pump(ctx, stream, func(m *fenfav1.WatchResponse) error { return out.send(m) }))
}

func (s *Server) watchRequest(r *http.Request) (*fenfav1.WatchRequest, error) {
	req := &fenfav1.WatchRequest{}
	switch r.Method {
	case http.MethodGet:
		if err := checkQuery(r, req.ProtoReflect().Descriptor().Fields(), nil, "keys", "partitions"); err != nil {
			return nil, err
		}
		if err := runtime.PopulateQueryParameters(req, r.URL.Query(), utilities.NewDoubleArray(nil)); err != nil {
			return nil, task.Errorf(task.CodeInvalidArgument, "the query of the URL: %w", err)
		}
	case http.MethodPost:
		if err := checkQuery(r, nil, nil); err != nil {
			return nil, err
		}
		if err := newStrictJSON().NewDecoder(r.Body).Decode(req); err != nil && !errors.Is(err, io.EOF) {
			if body, ok := r.Body.(*guardedBody); ok && body.tooLarge {
				return nil, s.tooLarge()
			}
			return nil, task.Errorf(task.CodeInvalidArgument, "%s", plainMessage(err.Error())).WithField(unknownField(err.Error()))
		}
	default:
		return nil, notAllowed(r)
	}
	if req.GetPing() != 0 {
		return nil, task.Errorf(task.CodeInvalidArgument, "a watch over HTTP has no pings: its progress messages are enough").WithField("ping")
	}
	return req, nil
}

// lines writes messages as lines of JSON, each as soon as it is there.
type lines struct {
	w    http.ResponseWriter
	ctl  *http.ResponseController
	form protojson.MarshalOptions
	buf  bytes.Buffer
}

func newLines(w http.ResponseWriter) *lines {
	return &lines{w: w, ctl: http.NewResponseController(w), form: protojson.MarshalOptions{UseProtoNames: true}}
}

// begin sends the headers, so that the caller knows at once that it watches.
func (l *lines) begin() error {
	l.w.Header().Set("Content-Type", "application/x-ndjson")
	if err := l.ctl.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if err := l.ctl.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	l.w.WriteHeader(http.StatusOK)
	return l.ctl.Flush()
}

func (l *lines) send(m proto.Message) error {
	b, err := l.form.Marshal(m)
	if err != nil {
		return err
	}
	if b, err = readable.Add(m.ProtoReflect().Descriptor(), b); err != nil {
		return err
	}
	return l.line(b)
}

func (l *lines) line(b []byte) error {
	if err := l.ctl.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	l.buf.Reset()
	l.buf.Write(b)
	l.buf.WriteByte('\n')
	if _, err := l.w.Write(l.buf.Bytes()); err != nil {
		return err
	}
	return l.ctl.Flush()
}

// fail tells in a last line why the stream ends.
func (l *lines) fail(e *task.Error) {
	b, err := failureJSON(e)
	if err == nil {
		_ = l.line(b) // A caller that is gone needs no reason.
	}
}
