package partition

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/task"
)

// registerTransactions makes the metrics of transactions across partitions.
func (c *counters) registerTransactions(reg prometheus.Registerer) {
	c.txns = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fenfa_txn_ended_total", Help: "Transactions across partitions by result: committed, conflict, or aborted for another reason; one that is tried again counts each time.",
	}, []string{"result"})
	c.txnRetries = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "fenfa_txn_retries_total", Help: "Transactions that were begun anew, or whose handlers were run again, after an abort.",
	})
	c.recovered = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fenfa_txn_recoveries_total", Help: "What was done about transactions that took long or lost an owner: ask, abort, apply or remind.",
	}, []string{"action"})
	for _, result := range []string{"committed", "conflict", "aborted"} {
		c.txns.WithLabelValues(result)
	}
	for _, action := range []string{"ask", "abort", "apply", "remind"} {
		c.recovered.WithLabelValues(action)
	}
	c.doubts.began = make(map[task.ID]time.Time)
	reg.MustRegister(c.txns, c.txnRetries, c.recovered,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "fenfa_txn_in_doubt", Help: "Prepared branches that do not know the decision yet.",
		}, c.doubts.count),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "fenfa_txn_in_doubt_oldest_start_seconds", Help: "When the oldest transaction in doubt began, in Unix seconds; 0: there is none.",
		}, c.doubts.oldest))
}

// txnEnded counts the end of a transaction; nil: it was committed.
func (c *counters) txnEnded(err error) {
	switch {
	case err == nil:
		c.txns.WithLabelValues("committed").Inc()
	case errors.Is(err, ledger.ErrConflict), errors.Is(err, ledger.ErrPinned):
		c.txns.WithLabelValues("conflict").Inc()
	default:
		c.txns.WithLabelValues("aborted").Inc()
	}
}

// doubts are the transactions that have prepared branches on this node. Two
// participants of one transaction count as two.
type doubts struct {
	mu       sync.Mutex
	branches int
	began    map[task.ID]time.Time
	times    map[task.ID]int
}

func (d *doubts) enter(tx task.ID, began time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.times == nil {
		d.times = make(map[task.ID]int)
	}
	d.branches++
	d.times[tx]++
	d.began[tx] = began
}

func (d *doubts) leave(tx task.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.branches--
	if d.times[tx]--; d.times[tx] <= 0 {
		delete(d.times, tx)
		delete(d.began, tx)
	}
}

func (d *doubts) count() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return float64(d.branches)
}

func (d *doubts) oldest() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	var oldest time.Time
	for _, began := range d.began {
		if oldest.IsZero() || began.Before(oldest) {
			oldest = began
		}
	}
	if oldest.IsZero() {
		return 0
	}
	return float64(oldest.UnixMicro()) / 1e6
}
