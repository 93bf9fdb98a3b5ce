package demo

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/fenfa/fenfa/internal/orders"
)

// Report is the outcome of a demo. Times are in milliseconds, rates in orders a
// second. docs/demo.md says how each number is measured.
type Report struct {
	Orders          int     `json:"orders"`
	Confirmed       int     `json:"confirmed"`
	Done            int     `json:"done"` // sold-out ones included
	SoldOut         int     `json:"sold_out"`
	Dead            int     `json:"dead"`
	Lost            int     `json:"lost"`
	Duplicated      int     `json:"duplicated"`
	Oversold        int     `json:"oversold"`
	OrderViolations int     `json:"order_violations"`
	StockMismatches int     `json:"stock_mismatches"`
	Damaged         int     `json:"damaged"`
	ThroughputPerS  float64 `json:"throughput_per_s"`
	SubmitP50MS     float64 `json:"submit_p50_ms"`
	SubmitP99MS     float64 `json:"submit_p99_ms"`
	StartP50MS      float64 `json:"start_p50_ms"`
	StartP99MS      float64 `json:"start_p99_ms"`
	// From the kill until the last order that the dead worker had started and not
	// finished was started by another worker. 0: it had none, or none was killed.
	WorkerRecoveryMS float64 `json:"worker_recovery_ms"`
	// From the start of the new node process until it finished its first order, or
	// was ready where none was left. 0: it was not killed.
	NodeRecoveryMS float64 `json:"node_recovery_ms"`
	// From the start of the new broker process until an order was confirmed, or until
	// it let clients in where none was left to submit. 0: it was not killed.
	BrokerRecoveryMS float64 `json:"broker_recovery_ms"`
	Seconds          float64 `json:"seconds"` // first submit to last order done

	OK              bool             `json:"ok"`
	Input           string           `json:"input"`
	SKUs            int              `json:"skus"`
	Workers         int              `json:"workers"`
	Accepted        int              `json:"accepted"`
	InvalidLines    int              `json:"invalid_lines"`
	Invalid         []orders.Invalid `json:"invalid,omitempty"` // the first of them
	WorkerKilled    bool             `json:"worker_killed"`
	WorkerHeld      int              `json:"worker_held"` // orders that the dead worker had started and not finished
	NodeKilled      bool             `json:"node_killed"`
	Broker          string           `json:"broker"` // "embedded" or "rabbitmq"
	BrokerKilled    bool             `json:"broker_killed"`
	BrokerReadyMS   float64          `json:"broker_ready_ms"` // start of the new process until it lets clients in
	Store           string           `json:"store"`           // "embedded" or "mysql"
	StoreKilled     bool             `json:"store_killed"`
	StoreReadyMS    float64          `json:"store_ready_ms"` // start of the databases' new process until it lets clients in
	NodeReadyMS     float64          `json:"node_ready_ms"`  // start of the new process until it takes requests
	SubmitRetries   int64            `json:"submit_retries"`
	Resubmitted     int              `json:"resubmitted"`
	ResubmitKnown   int              `json:"resubmit_known"` // of these, answered "already have it"
	Checks          []Check          `json:"checks"`
	Examples        []string         `json:"examples"` // of what was wrong
	DataDir         string           `json:"data_dir,omitempty"`
	DurationSeconds float64          `json:"duration_seconds"` // of everything, checks included
}

// maxInvalid bounds the invalid lines that a report lists.
const maxInvalid = 10

// verdict fills in what the judge found.
func (r *Report) verdict(f *Findings) {
	r.Confirmed, r.Done, r.SoldOut, r.Accepted, r.Dead = f.Confirmed, f.Done, f.SoldOut, f.Accepted, f.Dead
	r.Lost, r.Duplicated, r.Oversold = f.Lost, f.Duplicated, f.Oversold
	r.OrderViolations, r.StockMismatches, r.Damaged = f.OrderViolations, f.StockMismatches, f.Damaged
	r.Checks, r.Examples, r.OK = f.Checks, f.Examples, f.OK()
	if r.Examples == nil {
		r.Examples = []string{}
	}
}

// latencies fills in the percentiles of submits and starts. Orders that were done
// before this run submitted them have no start in it.
func (r *Report) latencies(s *submitter, ev *Evidence) {
	submit, start := newHistogram(), newHistogram()
	for i := range ev.Outcomes {
		if !s.confirmed[i] {
			continue
		}
		record(submit, s.took[i])
		if answer := ev.Outcomes[i].Answer; answer != nil {
			if d := time.UnixMicro(answer.StartedUS).Sub(s.sentAt[i]); d >= 0 {
				record(start, d)
			}
		}
	}
	r.SubmitP50MS, r.SubmitP99MS = percentile(submit, 50), percentile(submit, 99)
	r.StartP50MS, r.StartP99MS = percentile(start, 50), percentile(start, 99)
}

// recoveries fills in how long the kills hurt.
func (r *Report) recoveries(n *incidents, list *orders.List, ev *Evidence) {
	r.WorkerKilled, r.NodeKilled = n.workerKilled, n.nodeKilled
	if n.workerKilled {
		var longest time.Duration
		r.WorkerHeld, longest = heldBy(n, list, ev)
		r.WorkerRecoveryMS = ms(longest)
	}
	if !n.nodeKilled {
		return
	}
	r.NodeReadyMS = ms(n.nodeReadyAt.Sub(n.nodeStartedAt))
	first := n.nodeReadyAt
	found := false
	for i := range ev.Outcomes {
		at := ev.Outcomes[i].FinishedAt
		if at.After(n.nodeStartedAt) && (!found || at.Before(first)) {
			first, found = at, true
		}
	}
	r.NodeRecoveryMS = ms(first.Sub(n.nodeStartedAt))
}

// brokerRecovery fills in how long the kill of the broker hurt.
func (r *Report) brokerRecovery(n *incidents, s *submitter) {
	if r.BrokerKilled = n.brokerKilled; !n.brokerKilled {
		return
	}
	r.BrokerReadyMS = ms(n.brokerReadyAt.Sub(n.brokerStartedAt))
	first := time.Time{}
	for i, confirmed := range s.confirmed {
		at := s.sentAt[i].Add(s.took[i])
		if confirmed && at.After(n.brokerStartedAt) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	if first.IsZero() {
		first = n.brokerReadyAt
	}
	r.BrokerRecoveryMS = ms(first.Sub(n.brokerStartedAt))
}

// heldBy returns how many orders the dead worker had started and not finished,
// and how long after the kill the last of them was started by another one. An
// order that was started several times since counts with the time that led to its
// answer, so this is an upper bound.
func heldBy(n *incidents, list *orders.List, ev *Evidence) (held int, longest time.Duration) {
	byID := make(map[string]int, len(list.Orders))
	for i := range list.Orders {
		byID[string(list.Orders[i].ID[:])] = i
	}
	seen := make(map[int]bool)
	for _, id := range n.workerHad {
		i, known := byID[string(id[:])]
		if !known || seen[i] {
			continue
		}
		seen[i] = true
		answer := ev.Outcomes[i].Answer
		if answer == nil || answer.Worker == n.workerID {
			continue
		}
		if after := time.UnixMicro(answer.StartedUS).Sub(n.workerAt); after > 0 {
			held++
			longest = max(longest, after)
		}
	}
	return held, longest
}

// WriteText writes the report for a person. The writer keeps its own errors.
func (r *Report) WriteText(out io.Writer) {
	var b strings.Builder
	fmt.Fprintf(&b, "\nOrders: %d of %s, %d SKUs, %d worker processes, broker %s, store %s\n", r.Orders, r.Input, r.SKUs, r.Workers, r.Broker, r.Store)
	if r.InvalidLines > 0 {
		fmt.Fprintf(&b, "Lines that cannot be orders, and were not submitted: %d\n", r.InvalidLines)
		for _, bad := range r.Invalid {
			fmt.Fprintf(&b, "  line %d: %s\n", bad.Line, bad.Reason)
		}
	}
	fmt.Fprintf(&b, "Confirmed %d, done %d (accepted %d, sold out %d), dead %d\n", r.Confirmed, r.Done, r.Accepted, r.SoldOut, r.Dead)
	fmt.Fprintf(&b, "%.1f s, %.0f orders/s; submit p50 %.1f ms, p99 %.1f ms; submit to start p50 %.1f ms, p99 %.1f ms\n",
		r.Seconds, r.ThroughputPerS, r.SubmitP50MS, r.SubmitP99MS, r.StartP50MS, r.StartP99MS)
	if r.WorkerKilled {
		fmt.Fprintf(&b, "A worker was killed with %d orders in its hands; the last of them ran elsewhere %.0f ms later\n", r.WorkerHeld, r.WorkerRecoveryMS)
	}
	if r.BrokerKilled {
		fmt.Fprintf(&b, "The broker was killed; started again it let clients in after %.0f ms, and the first order was confirmed after %.0f ms\n", r.BrokerReadyMS, r.BrokerRecoveryMS)
	}
	if r.StoreKilled {
		fmt.Fprintf(&b, "The databases were killed; started again they let clients in after %.0f ms\n", r.StoreReadyMS)
	}
	if r.NodeKilled {
		fmt.Fprintf(&b, "The node was killed; started again it was ready after %.0f ms and finished its first order after %.0f ms\n", r.NodeReadyMS, r.NodeRecoveryMS)
	}
	b.WriteString("\nWhat was promised, and how it was checked:\n")
	r.writeChecks(&b)
	fmt.Fprint(out, b.String())
}

func (r *Report) writeChecks(b *strings.Builder) {
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  \tpromise\tcompared\twrong")
	for _, c := range r.Checks {
		mark := "ok"
		if c.Wrong > 0 {
			mark = "FAILED"
		}
		fmt.Fprintf(table, "  %s\t%s\t%d\t%d\n", mark, c.Promise, c.Compared, c.Wrong)
	}
	// A strings.Builder takes everything.
	_ = table.Flush()
	for _, c := range r.Checks {
		fmt.Fprintf(b, "  - %s: %s.\n", c.Promise, c.How)
	}
	for _, example := range r.Examples {
		fmt.Fprintf(b, "  ! %s\n", example)
	}
	fmt.Fprintf(b, "\nlost %d, duplicated %d, oversold %d, order violations %d, stock mismatches %d: %s\n",
		r.Lost, r.Duplicated, r.Oversold, r.OrderViolations, r.StockMismatches, map[bool]string{true: "every promise was kept", false: "A PROMISE WAS BROKEN"}[r.OK])
	if r.DataDir != "" {
		fmt.Fprintf(b, "The data is kept in %s\n", r.DataDir)
	}
}

// newHistogram counts durations from 1 microsecond to 10 minutes, to 3 digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, (10 * time.Minute).Microseconds(), 3)
}

// record adds a duration; one out of range counts as the nearest in range.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	// It cannot fail: the value is in range.
	_ = h.RecordValue(min(max(d.Microseconds(), 1), h.HighestTrackableValue()))
}

// percentile returns a percentile in milliseconds, and 0 of nothing.
func percentile(h *hdrhistogram.Histogram, p float64) float64 {
	if h.TotalCount() == 0 {
		return 0
	}
	return float64(h.ValueAtPercentile(p)) / 1000
}

// ms returns a duration in milliseconds, to the microsecond.
func ms(d time.Duration) float64 { return math.Round(float64(d.Microseconds())) / 1000 }
