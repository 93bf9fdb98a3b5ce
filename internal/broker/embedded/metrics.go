package embedded

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the broker's.
type metrics struct {
	published prometheus.Counter
	notTaken  prometheus.Counter
	lookups   prometheus.Counter
	expired   prometheus.Counter
	delivered prometheus.Counter
	settled   prometheus.Counter
	pages     prometheus.Counter
	tailBytes prometheus.GaugeFunc
}

func newMetrics(b *Broker) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "fenfa", Subsystem: "broker", Name: name, Help: help})
	}
	return &metrics{
		published: counter("published_total", "Tasks that became durable."),
		notTaken:  counter("not_taken_total", "Tasks that were refused: duplicates, mismatches, a full backlog, wrong input."),
		lookups:   counter("index_lookups_total", "Ids that had to be looked up on the disk to tell whether they are new."),
		expired:   counter("ids_expired_total", "Ids that were forgotten after their dedupe window."),
		delivered: counter("delivered_total", "Tasks that were handed to readers, repeats among them."),
		settled:   counter("settled_total", "Tasks that were settled."),
		pages:     counter("pages_total", "Pages that readers which fell behind read from the disk."),
		tailBytes: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "fenfa", Subsystem: "broker", Name: "tail_bytes", Help: "Bytes of messages that are kept in memory for readers.",
		}, func() float64 { return float64(b.memory.used.Load()) }),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.published, m.notTaken, m.lookups, m.expired, m.delivered, m.settled, m.pages, m.tailBytes}
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
