package partition

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/store"
)

// sagaCounters are the metrics of sagas.
type sagaCounters struct {
	started       *prometheus.CounterVec // by definition
	ended         *prometheus.CounterVec // by definition and outcome
	steps         *prometheus.CounterVec // by definition and outcome
	compensations *prometheus.CounterVec // by definition and outcome
	broken        prometheus.Counter
	open          *prometheus.GaugeVec // by status
	oldest        prometheus.Gauge
	clock         clock.Clock

	mu    sync.Mutex
	parts map[int]*sagaBook
}

// sagaBook holds the sagas of one partition that have not ended.
type sagaBook struct {
	shared  *sagaCounters
	part    int
	open    map[string]openSaga // by id
	loading bool                // sagas that ended are kept, so that an older row does not bring them back
}

type openSaga struct {
	status saga.Status
	since  time.Time
}

func newSagaCounters(reg prometheus.Registerer) *sagaCounters {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	c := &sagaCounters{
		clock: clock.System{}, parts: map[int]*sagaBook{},
		started:       vec("fenfa_saga_started_total", "Sagas that were started.", "saga"),
		ended:         vec("fenfa_saga_ended_total", "Sagas that ended, by outcome: done or compensated.", "saga", "outcome"),
		steps:         vec("fenfa_saga_steps_total", "Steps of sagas that ended, by outcome: done, dead or skipped.", "saga", "outcome"),
		compensations: vec("fenfa_saga_compensations_total", "Compensations of sagas that ended, by outcome: done, dead or skipped.", "saga", "outcome"),
		broken:        prometheus.NewCounter(prometheus.CounterOpts{Name: "fenfa_saga_broken_messages_total", Help: "Messages to sagas that could not be worked on; they are dead letters of fenfa.sagas."}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "fenfa_saga_open", Help: "Sagas that have not ended, by status: running, compensating or halted.",
		}, []string{"status"}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{Name: "fenfa_saga_oldest_open_seconds", Help: "Age of the oldest saga that has not ended; 0: there is none."}),
	}
	reg.MustRegister(c.started, c.ended, c.steps, c.compensations, c.broken, c)
	return c
}

// Describe implements prometheus.Collector.
func (c *sagaCounters) Describe(to chan<- *prometheus.Desc) {
	c.open.Describe(to)
	c.oldest.Describe(to)
}

// Collect implements prometheus.Collector.
func (c *sagaCounters) Collect(to chan<- prometheus.Metric) {
	counts := map[saga.Status]float64{}
	var oldest time.Time
	c.mu.Lock()
	for _, book := range c.parts {
		for _, s := range book.open {
			if s.status.Final() {
				continue
			}
			counts[s.status]++
			if oldest.IsZero() || s.since.Before(oldest) {
				oldest = s.since
			}
		}
	}
	c.mu.Unlock()
	for _, status := range saga.Statuses() {
		if !status.Final() {
			c.open.WithLabelValues(string(status)).Set(counts[status])
		}
	}
	age := 0.
	if !oldest.IsZero() {
		age = max(0, c.clock.Now().Sub(oldest).Seconds())
	}
	c.oldest.Set(age)
	c.open.Collect(to)
	c.oldest.Collect(to)
}

// book begins a new list for a partition that was claimed.
func (c *sagaCounters) book(part int) *sagaBook {
	b := &sagaBook{shared: c, part: part, open: map[string]openSaga{}, loading: true}
	c.mu.Lock()
	c.parts[part] = b
	c.mu.Unlock()
	return b
}

// close drops the list of a partition that is given up.
func (b *sagaBook) close() {
	b.shared.mu.Lock()
	defer b.shared.mu.Unlock()
	if b.shared.parts[b.part] == b {
		delete(b.shared.parts, b.part)
	}
}

// note takes what a saga is now.
func (b *sagaBook) note(s *saga.State) {
	b.shared.mu.Lock()
	defer b.shared.mu.Unlock()
	if s.Status.Final() && !b.loading {
		delete(b.open, s.ID)
		return
	}
	b.open[s.ID] = openSaga{status: s.Status, since: s.StartedAt}
}

// found takes a saga that the store held; what was noted of it is newer.
func (b *sagaBook) found(id string, s openSaga) {
	b.shared.mu.Lock()
	defer b.shared.mu.Unlock()
	if _, known := b.open[id]; !known && !s.status.Final() {
		b.open[id] = s
	}
}

// loaded says that everything was found.
func (b *sagaBook) loaded() {
	b.shared.mu.Lock()
	defer b.shared.mu.Unlock()
	b.loading = false
	for id, s := range b.open {
		if s.status.Final() {
			delete(b.open, id)
		}
	}
}

// count counts the events that a saga has beyond those that were seen.
func (c *sagaCounters) count(s *saga.State, seen int) {
	fresh := min(len(s.Events)+s.Dropped-seen, len(s.Events))
	for _, e := range s.Events[len(s.Events)-fresh:] {
		switch e.What {
		case saga.EventStarted:
			c.started.WithLabelValues(s.Name).Inc()
		case saga.EventEnded:
			outcome := saga.StatusDone
			if s.Back {
				outcome = saga.StatusCompensated
			}
			c.ended.WithLabelValues(s.Name, string(outcome)).Inc()
		case saga.EventDone, saga.EventDead, saga.EventSkipped:
			if e.Undo {
				c.compensations.WithLabelValues(s.Name, e.What).Inc()
			} else {
				c.steps.WithLabelValues(s.Name, e.What).Inc()
			}
		}
	}
}

// loadSagas finds the sagas of the partition that have not ended.
func (own *ownership) loadSagas(ctx context.Context) error {
	book := own.core.sagas
	defer book.loaded()
	if _, used := own.e.Queue(saga.Queue); !used {
		return nil
	}
	prefix := saga.KeyPrefix("")
	scan := store.Scan{Table: store.TableRecord, From: &store.Record{Key: prefix}, To: &store.Record{Key: prefix + "\xff"}}
	return own.each(ctx, scan, func(rows []store.Row) (next store.Row, err error) {
		for _, row := range rows {
			r, ok := row.(*store.Record)
			if !ok {
				continue
			}
			next = &store.Record{Key: r.Key, Name: r.Name + "\x00"}
			var s struct {
				Status    saga.Status `json:"status"`
				StartedAt time.Time   `json:"started_at"`
			}
			if r.Name == saga.RecordState && json.Unmarshal(r.Value, &s) == nil {
				book.found(strings.TrimPrefix(r.Key, prefix), openSaga{status: s.Status, since: s.StartedAt})
			}
		}
		return next, nil
	})
}
