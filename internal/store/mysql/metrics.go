package mysql

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the store's.
type metrics struct {
	statements  *prometheus.CounterVec   // by operation
	roundTrip   *prometheus.HistogramVec // by shard
	commits     prometheus.Counter
	batches     prometheus.Counter
	rows        prometheus.Counter
	retries     *prometheus.CounterVec // by reason
	unknown     prometheus.Counter
	connections *prometheus.GaugeVec // by shard
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "fenfa", Subsystem: "store", Name: name, Help: help}
	}
	return &metrics{
		statements: prometheus.NewCounterVec(counter("statements_total", "Statements that were sent, BEGIN and COMMIT among them, by operation."), []string{"operation"}),
		roundTrip: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "fenfa", Subsystem: "store", Name: "round_trip_seconds", Help: "From sending a statement to its answer, by shard.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}, []string{"shard"}),
		commits: prometheus.NewCounter(counter("commits_total", "Transactions that wrote batches and became durable.")),
		batches: prometheus.NewCounter(counter("batches_total", "Batches of partitions that became durable.")),
		rows:    prometheus.NewCounter(counter("rows_total", "Rows that were written or deleted.")),
		retries: prometheus.NewCounterVec(counter("retries_total", "Transactions that were tried again, because of a conflict or because the server was away."), []string{"reason"}),
		unknown: prometheus.NewCounter(counter("unknown_total", "Commits without an answer, whose outcome was read back.")),
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "fenfa", Subsystem: "store", Name: "connections", Help: "Connections in use when the last statement was sent, by shard.",
		}, []string{"shard"}),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.statements, m.roundTrip, m.commits, m.batches, m.rows, m.retries, m.unknown, m.connections}
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
