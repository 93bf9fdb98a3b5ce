package kv

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the engine's. Latencies are in seconds, sizes in bytes.
type metrics struct {
	commit           prometheus.Histogram
	fsync            prometheus.Histogram
	mergedBytes      prometheus.Histogram
	mergedBatches    prometheus.Histogram
	stalls           prometheus.Counter
	backgroundErrors prometheus.Counter
	all              []prometheus.Collector
}

func newMetrics(db *DB) *metrics {
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "fenfa", Subsystem: "kv", Name: name, Help: help, Buckets: buckets})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "fenfa", Subsystem: "kv", Name: name, Help: help})
	}
	latency := prometheus.ExponentialBuckets(0.000125, 2, 16) // 125 µs to 4 s
	m := &metrics{
		commit:           histogram("commit_duration_seconds", "Time from merging a batch until it was durable and its callbacks had run.", latency),
		fsync:            histogram("fsync_duration_seconds", "Time of one fsync of the log.", latency),
		mergedBytes:      histogram("merged_bytes", "Bytes that were written to the log at once.", prometheus.ExponentialBuckets(256, 4, 10)),
		mergedBatches:    histogram("merged_batches", "Batches that were written to the log at once.", prometheus.ExponentialBuckets(1, 2, 12)),
		stalls:           counter("write_stalls_total", "Times that writes had to wait for a flush or compaction."),
		backgroundErrors: counter("background_errors_total", "Flushes and compactions that failed."),
	}
	m.all = []prometheus.Collector{m.commit, m.fsync, m.mergedBytes, m.mergedBatches, m.stalls, m.backgroundErrors}
	gauge := func(name, help string, read func(h *health) float64) {
		m.all = append(m.all, prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Namespace: "fenfa", Subsystem: "kv", Name: name, Help: help},
			func() float64 { return read(db.health.Load()) }))
	}
	gauge("disk_used_bytes", "Bytes that tables and logs take.", func(h *health) float64 { return float64(h.usedBytes) })
	gauge("disk_free_bytes", "Bytes that the disk has left; 0 where it is not known.", func(h *health) float64 { return float64(h.freeBytes) })
	gauge("compaction_debt_bytes", "Bytes that wait for compaction.", func(h *health) float64 { return float64(h.debtBytes) })
	gauge("level0_sublevels", "Depth of level 0.", func(h *health) float64 { return float64(h.sublevels) })
	gauge("memtable_bytes", "Bytes of memtables.", func(h *health) float64 { return float64(h.memBytes) })
	gauge("log_bytes", "Bytes of the write-ahead log's files.", func(h *health) float64 { return float64(h.logBytes) })
	gauge("cache_hits", "Block reads that the cache answered, since the start.", func(h *health) float64 { return float64(h.cacheHits) })
	gauge("cache_misses", "Block reads that went to a file, since the start.", func(h *health) float64 { return float64(h.cacheMiss) })
	gauge("accepts_new", "1 while new work is taken in, 0 while it is refused.", func(h *health) float64 {
		if h.refusal != nil {
			return 0
		}
		return 1
	})
	return m
}

// register adds the metrics to r, all or none.
func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for i, c := range m.all {
		if err := r.Register(c); err != nil {
			for _, c := range m.all[:i] {
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
	for _, c := range m.all {
		r.Unregister(c)
	}
}
