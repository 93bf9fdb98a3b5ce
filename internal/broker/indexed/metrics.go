package indexed

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the index's. Where the embedded broker counts the same, they have
// the same names: a node has one or the other.
type metrics struct {
	lookups prometheus.Counter
	known   prometheus.Counter
	expired prometheus.Counter
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "fenfa", Subsystem: "broker", Name: name, Help: help})
	}
	return &metrics{
		lookups: counter("index_lookups_total", "Ids that had to be looked up on the disk to tell whether they are new."),
		known:   counter("index_known_total", "Messages that the index kept from a broker which does not know ids: duplicates and mismatches."),
		expired: counter("ids_expired_total", "Ids that were forgotten after their dedupe window."),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.lookups, m.known, m.expired}
}

// register adds the metrics to r, all or none.
func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for i, c := range m.all() {
		if err := r.Register(c); err != nil {
			for _, c := range m.all()[:i] {
				r.Unregister(c)
			}
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

func (m *metrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.all() {
		r.Unregister(c)
	}
}
