package pull

import "github.com/prometheus/client_golang/prometheus"

// metrics counts calls, and sessions when they are collected.
type metrics struct {
	pool     *Pool
	sessions prometheus.Gauge
	polls    *prometheus.CounterVec
	tasks    prometheus.Counter
	returned prometheus.Counter
}

func newMetrics(p *Pool) *metrics {
	m := &metrics{
		pool: p,
		sessions: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "fenfa", Subsystem: "pull", Name: "sessions", Help: "Workers that pull, by calls, and have called within their TTL.",
		}),
		polls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "fenfa", Subsystem: "pull", Name: "calls_total", Help: "Calls of workers for tasks, by how they ended.",
		}, []string{"result"}),
		tasks: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "fenfa", Subsystem: "pull", Name: "tasks_total", Help: "Tasks that calls returned.",
		}),
		returned: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "fenfa", Subsystem: "pull", Name: "returned_total", Help: "Tasks given back unbegun, because the call that they were for was over or full.",
		}),
	}
	for _, result := range []string{"tasks", "empty", "error"} {
		m.polls.WithLabelValues(result) // Shown before the first one, too.
	}
	return m
}

// polled counts a call for tasks.
func (m *metrics) polled(tasks int, err error) {
	result := "tasks"
	switch {
	case err != nil:
		result = "error"
	case tasks == 0:
		result = "empty"
	}
	m.polls.WithLabelValues(result).Inc()
	m.tasks.Add(float64(tasks))
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	m.pool.mu.Lock()
	m.sessions.Set(float64(len(m.pool.byWorker)))
	m.pool.mu.Unlock()
	m.sessions.Collect(ch)
	m.polls.Collect(ch)
	m.tasks.Collect(ch)
	m.returned.Collect(ch)
}
