package rabbitmq

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the broker's.
type metrics struct {
	published    prometheus.Counter
	notTaken     prometheus.Counter
	unknown      prometheus.Counter
	delivered    prometheus.Counter
	settled      prometheus.Counter
	connects     prometheus.Counter
	dialFailures prometheus.Counter
	resumed      prometheus.Counter
	blocked      prometheus.Gauge
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "fenfa", Subsystem: "broker", Name: name, Help: help})
	}
	return &metrics{
		published:    counter("published_total", "Tasks that became durable."),
		notTaken:     counter("not_taken_total", "Tasks that were refused: duplicates, mismatches, a full backlog, wrong input."),
		unknown:      counter("unknown_total", "Tasks whose fate is unknown: the server did not answer."),
		delivered:    counter("delivered_total", "Tasks that were handed to readers, repeats among them."),
		settled:      counter("settled_total", "Tasks that were settled."),
		connects:     counter("connects_total", "Connections to the server that were made."),
		dialFailures: counter("connect_failures_total", "Attempts to connect that no server answered well."),
		resumed:      counter("resumed_total", "Times a reader went on over another channel."),
		blocked: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "fenfa", Subsystem: "broker", Name: "blocked_connections", Help: "Connections from which the server takes no messages.",
		}),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		m.published, m.notTaken, m.unknown, m.delivered, m.settled, m.connects, m.dialFailures, m.resumed, m.blocked,
	}
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
