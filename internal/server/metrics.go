package server

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	panics   prometheus.Counter
	confirms prometheus.Histogram
}

func newMetrics() *metrics {
	return &metrics{
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
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	return errors.Join(r.Register(m.requests), r.Register(m.panics), r.Register(m.confirms))
}
