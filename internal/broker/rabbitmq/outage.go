package rabbitmq

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// outage is a time in which something does not work, as the log shows it: a line
// when it begins, and a line when it is over that says how long it took and how
// often it was tried. Between them every connection, reader and call would say the
// same again and again.
type outage struct {
	logger *slog.Logger
	over   string // message of the end

	mu       sync.Mutex
	since    time.Time // zero: there is none
	failures int
}

// failed says that something failed: the first one is logged.
func (o *outage) failed(message string, attrs ...slog.Attr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures++
	level := slog.LevelDebug
	if o.since.IsZero() {
		o.since, level = time.Now(), slog.LevelWarn
	}
	o.logger.LogAttrs(context.Background(), level, message, attrs...)
}

// end says that it works again.
func (o *outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		return
	}
	o.logger.LogAttrs(context.Background(), slog.LevelInfo, o.over,
		slog.Duration("after", time.Since(o.since).Round(time.Millisecond)), slog.Int("failures", o.failures))
	o.since, o.failures = time.Time{}, 0
}
