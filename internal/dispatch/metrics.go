package dispatch

import (
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics sets its gauges when they are collected, so that the hot path keeps no
// count of its own.
type metrics struct {
	d         *Dispatcher
	scrape    sync.Mutex // one at a time: a second one would see gauges that are just being set
	workers   *prometheus.GaugeVec
	slots     prometheus.Gauge
	inFlight  prometheus.Gauge
	age       prometheus.Gauge
	waiting   *prometheus.GaugeVec
	ends      *prometheus.CounterVec
	prefetch  prometheus.Gauge
	weight    prometheus.Gauge
	effective prometheus.Gauge
	ejected   *prometheus.GaugeVec
	ejections *prometheus.CounterVec
	late      prometheus.Counter
}

func newMetrics(d *Dispatcher) *metrics {
	m := &metrics{
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
			Namespace: "fenfa", Subsystem: "dispatch", Name: "waiting_partitions", Help: "Partitions that wait for a free slot, once for each placement.",
		}, []string{"queue"}),
		ends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "fenfa", Subsystem: "dispatch", Name: "sessions_ended_total", Help: "Worker sessions that ended, by reason.",
		}, []string{"reason"}),
		prefetch: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "fenfa", Subsystem: "dispatch", Name: "prefetch", Help: "Leases that connected workers may hold beyond their slots.",
		}),
		weight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "fenfa", Subsystem: "dispatch", Name: "weight", Help: "Weights of all connected workers.",
		}),
		effective: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "fenfa", Subsystem: "dispatch", Name: "effective_weight", Help: "Weights of all connected workers as they count now: less while some start slowly.",
		}),
		ejected: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "fenfa", Subsystem: "dispatch", Name: "ejected", Help: "Workers that get nothing of a queue for a while, once for each queue, by reason.",
		}, []string{"reason"}),
		ejections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "fenfa", Subsystem: "dispatch", Name: "ejections_total", Help: "Times that a worker was kept from the tasks of a queue for a while, by reason.",
		}, []string{"reason"}),
		late: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "fenfa", Subsystem: "dispatch", Name: "detector_late_total", Help: "Rounds of the detector that came so late that it judged nobody.",
		}),
	}
	for _, reason := range []string{EjectedForFailures, EjectedForFlapping} {
		m.ejections.WithLabelValues(reason) // Shown before the first one, too.
	}
	return m
}

func (m *metrics) ended(reason error) {
	names := map[error]string{ErrLeft: "left", ErrReplaced: "replaced", ErrSilent: "silent", ErrAway: "away", ErrStopped: "stopped"}
	for known, name := range names {
		if errors.Is(reason, known) {
			m.ends.WithLabelValues(name).Inc()
		}
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.workers, m.slots, m.inFlight, m.age, m.waiting, m.ends, m.prefetch, m.weight, m.effective, m.ejected, m.ejections, m.late}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	m.scrape.Lock()
	defer m.scrape.Unlock()
	states := map[State]float64{StateActive: 0, StateQuiet: 0, StateSuspect: 0, StateDraining: 0}
	ejected := map[string]float64{EjectedForFailures: 0, EjectedForFlapping: 0}
	var slots, inFlight, age, prefetch, weight, effective float64
	for _, w := range m.d.Workers() {
		states[w.State]++
		slots += float64(w.Slots)
		inFlight += float64(w.InFlight)
		age = max(age, w.HeartbeatAge.Seconds())
		prefetch += float64(w.Prefetch)
		weight += w.Weight
		effective += w.EffectiveWeight
		for _, s := range w.Serving {
			if s.EjectedFor != "" {
				ejected[s.EjectedFor]++
			}
		}
	}
	for state, n := range states {
		m.workers.WithLabelValues(string(state)).Set(n)
	}
	m.slots.Set(slots)
	m.inFlight.Set(inFlight)
	m.age.Set(age)
	m.prefetch.Set(prefetch)
	m.weight.Set(weight)
	m.effective.Set(effective)
	for reason, n := range ejected {
		m.ejected.WithLabelValues(reason).Set(n)
	}
	m.waiting.Reset()
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
	for _, q := range d.queues {
		counts[q.name] = q.lines
	}
	return counts
}
