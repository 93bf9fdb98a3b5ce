package webhook

import "github.com/prometheus/client_golang/prometheus"

// metrics counts requests.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics() *metrics {
	return &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "fenfa", Subsystem: "webhook", Name: "requests_total", Help: "Requests to webhooks, by what came of them; away: no connection came about.",
		}, []string{"queue", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "fenfa", Subsystem: "webhook", Name: "request_seconds", Help: "How long requests to webhooks took, with their answers.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}, []string{"queue"}),
	}
}

func (m *metrics) count(queue, result string) { m.requests.WithLabelValues(queue, result).Inc() }

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	m.requests.Describe(ch)
	m.seconds.Describe(ch)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	m.requests.Collect(ch)
	m.seconds.Collect(ch)
}
