package partition

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/task"
)

// counters are the metrics of all partitions of a node.
type counters struct {
	submitted   *prometheus.CounterVec // by queue and result
	ended       *prometheus.CounterVec // by queue and state
	failures    *prometheus.CounterVec // by queue
	start       *prometheus.HistogramVec
	late        *prometheus.HistogramVec // by queue
	scheduled   *prometheus.GaugeVec     // by queue
	commit      prometheus.Histogram
	conflicts   prometheus.Counter
	stale       prometheus.Counter
	repeats     prometheus.Counter
	swept       prometheus.Counter
	claims      prometheus.Counter
	outboxRetry prometheus.Counter
	corrupt     prometheus.Counter
	resumed     *prometheus.CounterVec // by queue
	requeued    *prometheus.CounterVec // by queue
	removed     *prometheus.CounterVec // by queue and why
	locks       *lockMetrics
	txns        *prometheus.CounterVec // by result
	txnRetries  prometheus.Counter
	recovered   *prometheus.CounterVec // by action
	pauses      *prometheus.GaugeVec   // by queue: 1 while it is paused
	keyWaits    *prometheus.CounterVec // by queue
	doubts      doubts

	sagas *sagaCounters
	crons *cronCounters

	mu     sync.Mutex
	recent map[string]*startLatency // by queue
}

func newCounters(reg prometheus.Registerer) *counters {
	c := &counters{
		recent: make(map[string]*startLatency),
		locks:  newLockMetrics(reg),
		sagas:  newSagaCounters(reg),
		crons:  newCronCounters(reg),
		submitted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenfa_submit_tasks_total", Help: "Submitted tasks by what became of the submit: accepted, duplicate or refused.",
		}, []string{"queue", "result"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenfa_task_ended_total", Help: "Tasks that ended, by state: done, dead, cancelled or expired.",
		}, []string{"queue", "state"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenfa_task_failed_attempts_total", Help: "Attempts that failed, timeouts included.",
		}, []string{"queue"}),
		start: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fenfa_task_start_latency_seconds", Help: "From the acceptance of a task to its first hand-out to a worker.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
		}, []string{"queue"}),
		late: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fenfa_schedule_lateness_seconds", Help: "From when a task on the schedule is due until it is taken from there.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
		}, []string{"queue"}),
		scheduled: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "fenfa_schedule_tasks", Help: "Tasks that wait for their time.",
		}, []string{"queue"}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fenfa_partition_commit_seconds", Help: "From the sealing of a partition's batch to its durability.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
		conflicts:   prometheus.NewCounter(prometheus.CounterOpts{Name: "fenfa_ledger_conflicts_total", Help: "Outcomes that met a changed record and were run again."}),
		stale:       prometheus.NewCounter(prometheus.CounterOpts{Name: "fenfa_lease_stale_outcomes_total", Help: "Outcomes that came after their lease had ended."}),
		repeats:     prometheus.NewCounter(prometheus.CounterOpts{Name: "fenfa_dedup_hits_total", Help: "Deliveries of tasks that had ended or moved already."}),
		swept:       prometheus.NewCounter(prometheus.CounterOpts{Name: "fenfa_dedup_expired_rows_total", Help: "Marks removed after their window."}),
		claims:      prometheus.NewCounter(prometheus.CounterOpts{Name: "fenfa_partition_claims_total", Help: "Claims of partitions, one at start and one after each failure."}),
		outboxRetry: prometheus.NewCounter(prometheus.CounterOpts{Name: "fenfa_outbox_retries_total", Help: "Publishes of follow-up tasks that were tried again."}),
		pauses: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "fenfa_queue_paused", Help: "1 while the queue is paused, else 0.",
		}, []string{"queue"}),
		corrupt: prometheus.NewCounter(prometheus.CounterOpts{Name: "fenfa_task_corrupt_total", Help: "Stored tasks that could not be read; they stay where they are."}),
	}
	c.registerTransactions(reg)
	c.registerDead(reg)
	c.keyWaits = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fenfa_key_waits_total", Help: "Times that a task could start and was set aside because as many of its key ran as key_concurrency allows.",
	}, []string{"queue"})
	reg.MustRegister(c.keyWaits)
	reg.MustRegister(c.submitted, c.ended, c.failures, c.start, c.late, c.scheduled, c.commit, c.conflicts, c.stale, c.repeats, c.swept, c.claims, c.outboxRetry, c.corrupt, c.pauses)
	return c
}

// paused tells whether a queue is paused.
func (c *counters) paused(queue string, is bool) {
	value := 0.
	if is {
		value = 1
	}
	c.pauses.WithLabelValues(queue).Set(value)
}

func (c *counters) registerDead(reg prometheus.Registerer) {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	c.requeued = vec("fenfa_dead_requeued_total", "Dead letters that went back into their queue.", "queue")
	c.removed = vec("fenfa_dead_removed_total", "Dead letters that were removed, by why: deleted by somebody, or kept for the queue's dead_ttl.", "queue", "why")
	c.resumed = vec("fenfa_halted_keys_resumed_total", "Keys that waited for a person and go on.", "queue")
	reg.MustRegister(c.requeued, c.removed, c.resumed)
}

// queueMetrics are the metrics of one queue, looked up once.
type queueMetrics struct {
	ended  [task.StateExpired + 1]prometheus.Counter
	failed prometheus.Counter
	start  prometheus.Observer
	late   prometheus.Observer
	// scheduled is of all partitions together.
	scheduled prometheus.Gauge
	recent    *startLatency
	// Dead letters that went back, were deleted, or were kept for long enough.
	requeued, deleted, retired prometheus.Counter
	resumed                    prometheus.Counter
	keyWaits                   prometheus.Counter
}

func (c *counters) queue(name string) *queueMetrics {
	m := &queueMetrics{
		failed: c.failures.WithLabelValues(name), start: c.start.WithLabelValues(name), late: c.late.WithLabelValues(name), scheduled: c.scheduled.WithLabelValues(name), recent: c.startLatency(name),
		requeued: c.requeued.WithLabelValues(name), deleted: c.removed.WithLabelValues(name, "deleted"), retired: c.removed.WithLabelValues(name, "retention"),
		resumed: c.resumed.WithLabelValues(name), keyWaits: c.keyWaits.WithLabelValues(name),
	}
	for _, s := range []task.State{task.StateDone, task.StateDead, task.StateCancelled, task.StateExpired} {
		m.ended[s] = c.ended.WithLabelValues(name, s.String())
	}
	return m
}

// startLatency returns what all partitions of a queue share.
func (c *counters) startLatency(queue string) *startLatency {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.recent[queue] == nil {
		c.recent[queue] = &startLatency{}
	}
	return c.recent[queue]
}

func (m *queueMetrics) started(now time.Time, it *item) {
	if since, known := it.startableSince(); known {
		m.recent.add(now, now.Sub(since))
	}
	if it.deliveries == 1 && it.returns == 0 && it.RunAt.IsZero() {
		m.start.Observe(now.Sub(it.CreatedAt.Time()).Seconds())
	}
}

func (m *queueMetrics) finished(s task.State) { m.ended[s].Inc() }
