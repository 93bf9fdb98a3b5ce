package watch

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	entries  prometheus.Counter
	pages    prometheus.Counter
	refused  prometheus.Counter
	lagging  prometheus.Counter
	watchers prometheus.GaugeFunc
	lag      prometheus.GaugeFunc
}

func newMetrics(h *Hub) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "fenfa", Subsystem: "watch", Name: name, Help: help})
	}
	gauge := func(name, help string, read func() float64) prometheus.GaugeFunc {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "fenfa", Subsystem: "watch", Name: name, Help: help}, read)
	}
	return &metrics{
		entries: counter("entries_total", "Changes and records that were handed to watches."),
		pages:   counter("log_pages_total", "Pages that watches read from op logs because memory did not reach back so far."),
		refused: counter("refused_total", "Watches that were refused because there were too many."),
		lagging: counter("lag_reports_total", "Times that a watch was told that it is far behind."),
		watchers: gauge("watches", "Watches that are open.", func() float64 {
			n, _ := h.totals()
			return float64(n)
		}),
		lag: gauge("lag_entries", "Entries of the op logs by which the slowest watch is behind, as it was when it took the last ones.", func() float64 {
			_, lag := h.totals()
			return float64(lag)
		}),
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	return errors.Join(r.Register(m.entries), r.Register(m.pages), r.Register(m.refused), r.Register(m.lagging),
		r.Register(m.watchers), r.Register(m.lag))
}
