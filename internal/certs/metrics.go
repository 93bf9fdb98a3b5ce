package certs

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	notAfter prometheus.Gauge
	reloads  *prometheus.CounterVec
}

// newMetrics makes those of one listener; all listeners have the same names.
func newMetrics(listener string) *metrics {
	of := prometheus.Labels{"listener": listener}
	m := &metrics{
		notAfter: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "fenfa", Subsystem: "tls", Name: "not_after_seconds", ConstLabels: of,
			Help: "Unix time at which the certificate of a listener expires.",
		}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "fenfa", Subsystem: "tls", Name: "reloads_total", ConstLabels: of,
			Help: "Times that changed files of a listener were read, by outcome: done, or failed and the ones before stay in force.",
		}, []string{"outcome"}),
	}
	m.reloads.WithLabelValues("done")
	m.reloads.WithLabelValues("failed")
	return m
}

func (m *metrics) register(r prometheus.Registerer) error {
	return errors.Join(r.Register(m.notAfter), r.Register(m.reloads))
}
