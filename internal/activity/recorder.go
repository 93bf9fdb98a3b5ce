package activity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/task"
)

// Times of a Recorder.
const (
	// DefaultRetention is how long entries are kept.
	DefaultRetention = 90 * 24 * time.Hour
	trimEvery        = time.Hour
	defaultSpan      = 24 * time.Hour
	maxDays          = 3660 // of one list
)

// Store keeps the records of entries, by day and name.
type Store interface {
	PutActivity(ctx context.Context, day, name string, value []byte) error
	Activity(ctx context.Context, day, after string, limit int) ([]task.Record, error)
	TrimActivity(ctx context.Context, before string) (int, error)
}

// Config is what a Recorder needs.
type Config struct {
	Store      Store
	Node       string
	Retention  time.Duration         // default DefaultRetention
	Clock      clock.Clock           // default: the machine's
	Logger     *slog.Logger          // default: none
	Registerer prometheus.Registerer // default: no metrics
}

// Recorder keeps entries.
type Recorder struct {
	cfg  Config
	lost prometheus.Counter

	mu      sync.Mutex
	timer   clock.Timer
	closed  bool
	running sync.WaitGroup
	ctx     context.Context //nolint:containedctx // It is the signal of Close.
	stop    context.CancelFunc
}

// New returns a recorder, which removes old entries until Close.
func New(cfg Config) (*Recorder, error) {
	if cfg.Store == nil {
		return nil, errors.New("new activity recorder: a store is needed")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Retention == 0 {
		cfg.Retention = DefaultRetention
	}
	r := &Recorder{cfg: cfg, lost: prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "fenfa", Subsystem: "activity", Name: "lost_total", Help: "Entries of changes that could not be written; the log has them.",
	})}
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(r.lost); err != nil {
			return nil, fmt.Errorf("register metrics of activity: %w", err)
		}
	}
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.arm()
	return r, nil
}

func (r *Recorder) arm() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.timer = r.cfg.Clock.AfterFunc(trimEvery, func() {
		r.mu.Lock()
		if r.closed {
			r.mu.Unlock()
			return
		}
		r.running.Add(1)
		r.mu.Unlock()
		defer r.running.Done()
		if _, err := r.cfg.Store.TrimActivity(r.ctx, dayOf(r.cfg.Clock.Now().Add(-r.cfg.Retention))); err != nil && r.ctx.Err() == nil {
			r.cfg.Logger.Warn("old activity was not removed", "error", err)
		}
		r.arm()
	})
}

// Close ends the removing.
func (r *Recorder) Close() {
	r.mu.Lock()
	r.closed = true
	r.timer.Stop()
	r.mu.Unlock()
	r.stop()
	r.running.Wait()
}

// Begin writes an entry down before its change begins. The caller ends it.
func (r *Recorder) Begin(ctx context.Context, e Entry) (end func(outcome, message string)) {
	e.At, e.Node, e.Outcome = r.cfg.Clock.Now().UTC(), r.cfg.Node, Begun
	name := nameOf(e.At)
	ctx = context.WithoutCancel(ctx) // Whoever asked may have gone.
	r.write(ctx, name, &e)
	return func(outcome, message string) {
		e.Outcome, e.Message, e.Took = outcome, message, r.cfg.Clock.Now().Sub(e.At)
		r.cfg.Logger.InfoContext(ctx, "activity", "actor", e.Actor, "address", e.Address, "method", e.Method, "on", e.On, "outcome", outcome)
		r.write(ctx, name, &e)
	}
}

func (r *Recorder) write(ctx context.Context, name string, e *Entry) {
	value, err := e.encode()
	if err == nil {
		err = r.cfg.Store.PutActivity(ctx, dayOf(e.At), name, value)
	}
	if err != nil {
		r.lost.Inc()
		r.cfg.Logger.ErrorContext(ctx, "activity was not written", "actor", e.Actor, "method", e.Method, "on", e.On, "outcome", e.Outcome, "error", err)
	}
}

// Filter says which entries are wanted. Its zero value is those of the last 24 hours.
type Filter struct {
	Since, Until time.Time
	Actor        string
	Method       string // a part of the method's name
}

// List returns entries, newest first, and the token of the next page, empty after the
// last. A page may be short, or empty, and not be the last.
func (r *Recorder) List(ctx context.Context, f Filter, limit int, pageToken string) ([]Entry, string, error) {
	if f.Until.IsZero() {
		f.Until = r.cfg.Clock.Now()
	}
	if f.Since.IsZero() {
		f.Since = f.Until.Add(-defaultSpan)
	}
	if oldest := r.cfg.Clock.Now().Add(-r.cfg.Retention - 24*time.Hour); f.Since.Before(oldest) {
		f.Since = oldest // There is nothing before.
	}
	day, after := dayOf(f.Until), placeOf(f.Until)
	if pageToken != "" {
		var ok bool
		if day, after, ok = strings.Cut(pageToken, "/"); !ok || !isDay(day) {
			return nil, "", task.Errorf(task.CodeInvalidArgument, "page_token is not one that a list has answered with").WithField("page_token")
		}
	}
	var found []Entry
	for range maxDays {
		if day < dayOf(f.Since) {
			return found, "", nil
		}
		rows, err := r.cfg.Store.Activity(ctx, day, after, limit)
		if err != nil {
			return nil, "", err
		}
		for i := range rows {
			after = rows[i].Name
			var e Entry
			if err := json.Unmarshal(rows[i].Value, &e); err != nil {
				return nil, "", fmt.Errorf("read activity %s: %w", rows[i].Name, err)
			}
			if f.matches(&e) {
				found = append(found, e)
			}
			if len(found) == limit {
				return found, day + "/" + after, nil
			}
		}
		if len(rows) == limit {
			return found, day + "/" + after, nil
		}
		day, after = before(day), ""
	}
	return found, day + "/", nil
}

func (f *Filter) matches(e *Entry) bool {
	return !e.At.Before(f.Since) && e.At.Before(f.Until) && (f.Actor == "" || f.Actor == e.Actor) && strings.Contains(e.Method, f.Method)
}

func isDay(text string) bool {
	_, err := time.Parse(dayForm, text)
	return err == nil
}

// before is the day before a day.
func before(day string) string {
	at, err := time.Parse(dayForm, day)
	if err != nil {
		return ""
	}
	return dayOf(at.AddDate(0, 0, -1))
}
