package access

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	tokens  prometheus.Gauge
	refused *prometheus.CounterVec
	denied  *prometheus.CounterVec
	limited *prometheus.CounterVec
}

func newMetrics() *metrics {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "fenfa", Subsystem: "access", Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		tokens:  prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "fenfa", Subsystem: "access", Name: "tokens", Help: "Tokens that there are."}),
		refused: counter("refused_total", "Calls without a token that counts, and streams whose token stopped counting, by reason.", "reason"),
		denied:  counter("denied_total", "Calls whose token lacks a scope, by the action that it needs.", "action"),
		limited: counter("limited_total", "Calls beyond a limit of their token, by limit.", "limit"),
	}
	// All labels are known, and shown from the start.
	for _, reason := range []string{"missing", "malformed", "unknown", "expired", "revoked"} {
		m.refused.WithLabelValues(reason)
	}
	for _, a := range Actions() {
		m.denied.WithLabelValues(string(a))
	}
	for _, limit := range []string{"requests", "tasks", "bytes"} {
		m.limited.WithLabelValues(limit)
	}
	return m
}

func (m *metrics) register(r prometheus.Registerer) error {
	return errors.Join(r.Register(m.tokens), r.Register(m.refused), r.Register(m.denied), r.Register(m.limited))
}
