package server

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/openapi"
	"github.com/fenfa/fenfa/internal/pull"
	"github.com/fenfa/fenfa/internal/task"
)

// Times and sizes that bound an HTTP connection.
const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = time.Minute
	answerTimeout = time.Minute
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
)

func (s *Server) newHTTP() (*http.Server, error) {
	gateway, err := s.newGateway()
	if err != nil {
		return nil, err
	}
	return &http.Server{
		Handler:           s.outermost(s.route(gateway)),
		ReadHeaderTimeout: s.cfg.Header,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
	}, nil
}

// route tells the node's own pages from the API. The standard library's mux would
// redirect paths whose keys look like "..".
func (s *Server) route(gateway http.Handler) http.Handler {
	api := s.guard(s.authenticated(gateway))
	streams := map[string]http.Handler{}
	for path, stream := range s.streamRoutes() {
		streams[path] = s.guard(s.authenticated(stream))
	}
	pages := map[string]http.Handler{
		"/healthz":      http.HandlerFunc(s.healthz),
		"/readyz":       http.HandlerFunc(s.readyz),
		"/openapi.json": http.HandlerFunc(s.openapi),
		"/metrics":      s.authenticated(s.metricsPage()),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, stream := pages[r.URL.Path], streams[r.URL.Path]
		switch {
		case stream != nil:
			stream.ServeHTTP(w, r)
		case page == nil:
			allowLong(w, r)
			api.ServeHTTP(w, r)
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
			page.ServeHTTP(w, r)
		default:
			s.writeErrorAs(w, r, http.StatusMethodNotAllowed, notAllowed(r))
		}
	})
}

// streamRoutes are the routes whose answers go on: what they read of a request they
// hold against the rule of the method that they serve, by permit.
func (s *Server) streamRoutes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{watchPath: s.watchHTTP, auditPath: s.auditHTTP}
}

// leasePath is where workers without a stream wait for tasks.
const leasePath = "/v1/leases"

// allowLong gives a call that waits the time of its wait beside that of an answer.
func allowLong(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != leasePath {
		return
	}
	until := time.Now().Add(answerTimeout + pull.MaxWait)
	ctl := http.NewResponseController(w)
	// A connection that has no deadlines needs none that is later.
	_ = ctl.SetReadDeadline(until)
	_ = ctl.SetWriteDeadline(until)
}

func notAllowed(r *http.Request) *task.Error {
	return task.Errorf(task.CodeInvalidArgument, "method %s is not allowed on %s", r.Method, r.URL.Path)
}

// healthz says that the process lives and answers.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	s.writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
}

// readyz says whether the node can do its work, to everybody, and why not, to those
// who show a token where tokens are required: whoever balances load has none.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	problems := s.cfg.Engine.Problems()
	ready, status := len(problems) == 0, http.StatusOK
	if !ready {
		status = http.StatusServiceUnavailable
		if !s.mayLook(r) {
			problems = []string{"a token is needed to see why"}
		}
	} else {
		problems = []string{}
	}
	s.writeJSON(w, status, map[string]any{"ready": ready, "problems": problems})
}

// mayLook reports whether a caller shows a token, where one is needed.
func (s *Server) mayLook(r *http.Request) bool {
	shown := r.Header.Values("Authorization")
	if s.cfg.Access != nil && s.cfg.Access.Required() && len(shown) == 0 {
		return false
	}
	_, err := s.authenticate(shown, r.RemoteAddr)
	return err == nil
}

// metricsPage shows the metrics to those who may see them.
func (s *Server) metricsPage() http.Handler {
	page := promhttp.HandlerFor(s.cfg.Gatherer, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: answerTimeout / 2,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := callerOf(r.Context()).CheckCovers(access.Metrics, ""); err != nil {
			s.writeError(w, r, err)
			return
		}
		page.ServeHTTP(w, r)
	})
}

// openapi is the document of this API, for people and generators of clients.
func (s *Server) openapi(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if _, err := io.WriteString(w, openapi.Document()); err != nil {
		s.cfg.Logger.Debug("answer was not written", "error", err)
	}
}

// outermost contains panics and sets what every answer carries.
func (s *Server) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				s.writeError(w, r, s.panicked(r.Method+" "+r.URL.Path, v))
			}
		}()
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// writeError answers with the form and the status that every error has.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	e := errorOf(err)
	status := outwardOf(e.Code).http
	s.writeErrorAs(w, r, status, e)
}

func (s *Server) writeErrorAs(w http.ResponseWriter, r *http.Request, status int, e *task.Error) {
	s.count("http", e)
	if e.Code == task.CodeInternal {
		s.cfg.Logger.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", e.Message)
	}
	s.writeFailure(w, status, e)
}

// failure is the JSON form of an Error.
type failure struct {
	Code       string `json:"code"`
	Message    string `json:"message"`
	Field      string `json:"field,omitempty"`
	RetryAfter string `json:"retry_after,omitempty"` // in seconds, like "0.5s"
}

func (s *Server) writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.cfg.Logger.Debug("answer was not written", "error", err)
	}
}
