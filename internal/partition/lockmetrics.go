package partition

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lockMetrics implements lock.Meter for all partitions of a node.
type lockMetrics struct {
	held, waiting   prometheus.Gauge
	wait            prometheus.Histogram
	expired, stolen prometheus.Counter
}

func newLockMetrics(reg prometheus.Registerer) *lockMetrics {
	m := &lockMetrics{
		held:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "fenfa_lock_held", Help: "Locks that are held."}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "fenfa_lock_waiters", Help: "Callers that wait in line for a lock."}),
		wait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fenfa_lock_wait_seconds", Help: "From a caller's request to the grant of the lock.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 12),
		}),
		expired: prometheus.NewCounter(prometheus.CounterOpts{Name: "fenfa_lock_expired_total", Help: "Locks whose holder did not renew them in time."}),
		stolen:  prometheus.NewCounter(prometheus.CounterOpts{Name: "fenfa_lock_stolen_total", Help: "Locks that a person took away from their holder."}),
	}
	reg.MustRegister(m.held, m.waiting, m.wait, m.expired, m.stolen)
	return m
}

// Held implements lock.Meter.
func (m *lockMetrics) Held(change int) { m.held.Add(float64(change)) }

// Waiting implements lock.Meter.
func (m *lockMetrics) Waiting(change int) { m.waiting.Add(float64(change)) }

// Waited implements lock.Meter.
func (m *lockMetrics) Waited(d time.Duration) { m.wait.Observe(d.Seconds()) }

// Expired implements lock.Meter.
func (m *lockMetrics) Expired() { m.expired.Inc() }

// Stolen implements lock.Meter.
func (m *lockMetrics) Stolen() { m.stolen.Inc() }
