package dispatch

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics sets its gauges when they are collected, so that the hot path keeps no
// count of its own.
type metrics struct {
	d        *Dispatcher
	workers  *prometheus.GaugeVec
	slots    prometheus.Gauge
	inFlight prometheus.Gauge
	age      prometheus.Gauge
	waiting  *prometheus.GaugeVec
	ends     *prometheus.CounterVec
}

func newMetrics(d *Dispatcher) *metrics {
	return &metrics{
		d: d,
		workers: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "fenfa", Subsystem: "dispatch", Name: "workers", Help: "Connected workers by state.",
		}, []string{"state"}),
		slots: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "fenfa", Subsystem: "dispatch", Name: "slots", Help: "Slots of all connected workers.",
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "fenfa", Subsystem: "dispatch", Name: "slots_in_flight", Help: "Slots taken by leases.",
		}),
		age: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "fenfa", Subsystem: "dispatch", Name: "heartbeat_age_seconds", Help: "Longest time since a connected worker was heard.",
		}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "fenfa", Subsystem: "dispatch", Name: "waiting_partitions", Help: "Partitions that wait for a free slot.",
		}, []string{"queue"}),
		ends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "fenfa", Subsystem: "dispatch", Name: "sessions_ended_total", Help: "Worker sessions that ended, by reason.",
		}, []string{"reason"}),
	}
}

func (m *metrics) ended(reason error) {
	names := map[error]string{ErrLeft: "left", ErrReplaced: "replaced", ErrSilent: "silent", ErrAway: "away", ErrStopped: "stopped"}
	m.ends.WithLabelValues(names[reason]).Inc()
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.workers, m.slots, m.inFlight, m.age, m.waiting, m.ends}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	states := map[State]float64{StateActive: 0, StateSuspect: 0, StateDraining: 0}
	var slots, inFlight, age float64
	for _, w := range m.d.Workers() {
		states[w.State]++
		slots += float64(w.Slots)
		inFlight += float64(w.InFlight)
		age = max(age, w.HeartbeatAge.Seconds())
	}
	for state, n := range states {
		m.workers.WithLabelValues(string(state)).Set(n)
	}
	m.slots.Set(slots)
	m.inFlight.Set(inFlight)
	m.age.Set(age)
	for name, n := range m.d.waitingPartitions() {
		m.waiting.WithLabelValues(name).Set(float64(n))
	}
	for _, c := range m.all() {
		c.Collect(ch)
	}
}

// waitingPartitions counts the partitions that wait, by queue.
func (d *Dispatcher) waitingPartitions() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	counts := make(map[string]int, len(d.queues))
	for name, q := range d.queues {
		counts[name] = len(q.waiting)
	}
	return counts
}
