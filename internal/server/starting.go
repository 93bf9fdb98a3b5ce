package server

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// startingRetry is when a client should come back that asks a node which is not up.
const startingRetry = time.Second

// Starting returns an HTTP server for the time before New: it says that the process
// lives, and at /readyz why the node is not ready; all else is unavailable.
func Starting(logger *slog.Logger, problems func() []string) *http.Server {
	s := &Server{cfg: Config{Logger: logger}, metrics: newMetrics()}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		switch r.URL.Path {
		case "/healthz":
			s.healthz(w, r)
		case "/readyz":
			s.writeJSON(w, http.StatusServiceUnavailable, map[string]any{"ready": false, "problems": problems()})
		default:
			e := task.Errorf(task.CodeUnavailable, "the node is starting").WithRetryAfter(startingRetry)
			s.writeError(w, r, e)
		}
	})
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
	}
}
