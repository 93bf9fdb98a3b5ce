package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/fenfa/fenfa/internal/task"
)

// bodyKey is where guard leaves the body for whoever writes the error.
type bodyKey struct{}

// guardedBody remembers that it was too large, because the gateway keeps only the
// text of a reader's error.
type guardedBody struct {
	io.ReadCloser
	tooLarge bool
}

// Read implements io.Reader.
func (b *guardedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		b.tooLarge = true
	}
	return n, err
}

// guard refuses what must not reach the gateway: bodies that are too large, as
// early as they can be known to be, text that is not UTF-8, and what a foreign
// web page makes a browser send.
func (s *Server) guard(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := origin.Check(r); err != nil {
			s.writeErrorAs(w, r, http.StatusForbidden, task.Errorf(task.CodeInvalidArgument,
				"requests that a page of another origin makes a browser send are refused: %w", err))
			return
		}
		if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
			s.writeErrorAs(w, r, http.StatusUnsupportedMediaType, task.Errorf(task.CodeInvalidArgument,
				"Content-Encoding %q is not supported: send the body as it is", encoding))
			return
		}
		if !utf8.ValidString(r.URL.Path) {
			s.writeError(w, r, task.Errorf(task.CodeInvalidArgument, "the path is not UTF-8"))
			return
		}
		if r.ContentLength > int64(s.cfg.MaxRequest) {
			s.writeError(w, r, s.tooLarge())
			return
		}
		body := &guardedBody{ReadCloser: http.MaxBytesReader(w, r.Body, int64(s.cfg.MaxRequest))}
		r = r.WithContext(context.WithValue(r.Context(), bodyKey{}, body))
		r.Body = body
		next.ServeHTTP(w, r)
	})
}

func (s *Server) tooLarge() error {
	return task.Errorf(task.CodeTooLarge, "the body has more than %d bytes: send fewer tasks at a time", s.cfg.MaxRequest)
}

// writeFailure writes the error alone, so that log and metrics stay its callers'.
func (s *Server) writeFailure(w http.ResponseWriter, status int, e *task.Error) {
	f := failureOf(e)
	if e.Code == task.CodeUnauthenticated {
		w.Header().Set("WWW-Authenticate", `Bearer realm="fenfa"`)
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(float64(e.RetryAfter)/float64(time.Second)))))
	}
	s.writeJSON(w, status, map[string]failure{"error": f})
}

func failureOf(e *task.Error) failure {
	f := failure{Code: e.Code.String(), Message: text(e.Message), Field: text(e.Field)}
	if e.RetryAfter > 0 {
		f.RetryAfter = strconv.FormatFloat(e.RetryAfter.Seconds(), 'f', -1, 64) + "s"
	}
	return f
}

// failureJSON is the error as a line of a stream.
func failureJSON(e *task.Error) ([]byte, error) {
	return json.Marshal(map[string]failure{"error": failureOf(e)})
}
