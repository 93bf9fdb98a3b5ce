package limit

import "github.com/prometheus/client_golang/prometheus"

// The names of limits, as people read them.
const (
	byConcurrency = "concurrency"
	byRate        = "rate"
)

func newWaits(reg prometheus.Registerer) *prometheus.CounterVec {
	waits := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fenfa_limit_waits_total", Help: "Times that a partition had tasks to start and had to wait for a limit of their queue: concurrency or rate.",
	}, []string{"queue", "limit"})
	reg.MustRegister(waits)
	return waits
}
