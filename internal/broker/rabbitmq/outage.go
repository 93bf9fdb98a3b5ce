package rabbitmq

import (
	"log/slog"
	"sync"
	"time"
)

// outage is a time in which something does not work, as the log shows it: a line
// when it begins, and a line when it is over that says how long it took and how
// often it was tried. Between them every connection, reader and call would say the
// same again and again, which is for those who ask for more.
type outage struct {
	mu       sync.Mutex
	since    time.Time // zero: there is none
	failures int
}

// failed counts a failure, and returns the level that it is logged at.
func (o *outage) failed() slog.Level {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures++
	if o.since.IsZero() {
		o.since = time.Now()
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// end says that it works again. It returns what the outage was, and whether there
// was one.
func (o *outage) end() (was []any, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		return nil, false
	}
	was = []any{slog.Duration("after", time.Since(o.since).Round(time.Millisecond)), slog.Int("failures", o.failures)}
	o.since, o.failures = time.Time{}, 0
	return was, true
}
