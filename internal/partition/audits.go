package partition

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/audit"
	"github.com/fenfa/fenfa/internal/task"
)

// DefaultAuditBusy is the share of the time that an audit beside a running node may
// work.
const DefaultAuditBusy = 0.25

// AuditRequest says what is audited, and who is told.
type AuditRequest struct {
	Parts []int   // empty: all
	Busy  float64 // share of the time that the audit may work; default DefaultAuditBusy

	Found    func(audit.Difference) error // an error ends the audit
	Progress func(audit.Summary)
	Finished func(audit.Summary) error // of one partition; an error ends the audit
}

// audits lets one audit run at a time.
type audits struct {
	running sync.Mutex

	rows        prometheus.Counter
	differences prometheus.Counter
	finished    prometheus.Counter
}

func newAudits(reg prometheus.Registerer) *audits {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "fenfa", Subsystem: "audit", Name: name, Help: help})
	}
	a := &audits{
		rows:        counter("rows_total", "Rows of op logs that audits have read."),
		differences: counter("differences_total", "Differences between op logs and records that audits have found; anything but 0 is damage."),
		finished:    counter("partitions_total", "Audits of partitions that were finished."),
	}
	reg.MustRegister(a.rows, a.differences, a.finished)
	return a
}

// Audit compares the records of partitions with what the op log says, one after
// another, beside everything else.
func (e *Engine) Audit(ctx context.Context, req AuditRequest) error {
	if req.Busy == 0 {
		req.Busy = DefaultAuditBusy
	}
	if req.Busy < 0 || req.Busy > 1 {
		return task.Errorf(task.CodeInvalidArgument, "busy is %v: want the share of the time that the audit may work, above 0 and at most 1", req.Busy).WithField("busy")
	}
	if len(req.Parts) == 0 {
		for part := range e.owners {
			req.Parts = append(req.Parts, part)
		}
	}
	for _, part := range req.Parts {
		if part < 0 || part >= len(e.owners) {
			return task.Errorf(task.CodeInvalidArgument, "there are partitions 0 to %d only, not %d", len(e.owners)-1, part).WithField("partitions")
		}
	}
	if !e.audits.running.TryLock() {
		return task.Errorf(task.CodeResourceExhausted, "an audit is running already: wait for its end").WithRetryAfter(time.Minute)
	}
	defer e.audits.running.Unlock()
	for _, part := range req.Parts {
		if err := e.auditPartition(ctx, part, &req); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) auditPartition(ctx context.Context, part int, req *AuditRequest) error {
	head, owned := e.watches.Tail(part).Head()
	if !owned {
		return task.Errorf(task.CodeUnavailable, "partition %d is not served at the moment: try again", part).WithRetryAfter(reclaimMax)
	}
	sum, err := audit.Run(ctx, audit.Config{
		Store: e.cfg.Store, Partitions: e.cfg.Partitions, Part: part, Head: head, Busy: req.Busy, Clock: e.cfg.Clock,
		Progress: req.Progress,
		Found: func(d audit.Difference) error {
			e.audits.differences.Inc()
			e.cfg.Logger.ErrorContext(ctx, "audit found damage", "partition", part, "kind", string(d.Kind), "seq", d.Seq)
			return req.Found(d)
		},
	})
	e.audits.rows.Add(float64(sum.Rows))
	if err != nil {
		return err
	}
	e.audits.finished.Inc()
	return req.Finished(sum)
}
