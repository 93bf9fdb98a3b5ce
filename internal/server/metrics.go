package server

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	panics   prometheus.Counter
	confirms prometheus.Histogram

	connections *prometheus.GaugeVec
	refused     *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "fenfa", Subsystem: "server", Name: "requests_total",
			Help: "Requests and streams that ended, by transport and code.",
		}, []string{"transport", "code"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "fenfa", Subsystem: "server", Name: "panics_total", Help: "Requests that failed by a defect of the node.",
		}),
		confirms: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "fenfa", Subsystem: "server", Name: "confirm_seconds",
			Help:    "Time from the arrival of a group of submits until all of them were durable or refused.",
			Buckets: prometheus.ExponentialBuckets(0.0002, 2, 16),
		}),
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "fenfa", Subsystem: "server", Name: "connections", Help: "Open connections, by port.",
		}, []string{"listener"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "fenfa", Subsystem: "server", Name: "connections_refused_total",
			Help: "Connections that were closed at once because a port had as many as it may have, by port.",
		}, []string{"listener"}),
	}
	return m
}

func (m *metrics) register(r prometheus.Registerer) error {
	return errors.Join(r.Register(m.requests), r.Register(m.panics), r.Register(m.confirms), r.Register(m.connections), r.Register(m.refused))
}
