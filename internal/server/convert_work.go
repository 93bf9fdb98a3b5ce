package server

import (
	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/task"
)

func helloFromWire(first *fenfav1.WorkRequest, c *access.Caller, address string) dispatch.Hello {
	w := first.GetHello()
	return dispatch.Hello{
		WorkerID: w.GetWorkerId(), Queues: w.GetQueues(), Slots: int(w.GetSlots()), Weight: w.GetWeight(),
		Labels: w.GetLabels(), Client: w.GetClient(), Address: address, Owner: c.ID, Quiet: first.GetQuiet(),
	}
}

func leaseRefFromWire(w *fenfav1.LeaseRef) task.LeaseRef {
	return task.LeaseRef{Partition: int(w.GetPartition()), Epoch: w.GetEpoch(), Token: w.GetToken()}
}

func leaseRefToWire(r task.LeaseRef) *fenfav1.LeaseRef {
	return &fenfav1.LeaseRef{Partition: uint32(r.Partition), Epoch: r.Epoch, Token: r.Token}
}

// outcomesFromWire reads the outcomes of a lease. One that cannot be read, or that
// its worker may not ask for, counts as a failed attempt that says why: refusing it
// would leave its task running.
func outcomesFromWire(c *access.Caller, of *fenfav1.LeaseOutcomes) []task.Outcome {
	outcomes := make([]task.Outcome, len(of.GetOutcomes()))
	for i, w := range of.GetOutcomes() {
		if err := outcomeFromWire(w, &outcomes[i]); err != nil {
			outcomes[i] = task.Outcome{Kind: task.OutcomeRetry, Error: "the worker's outcome is invalid: " + err.Error(), RetryAfter: -1}
		} else if err := refuseForeign(c, &outcomes[i]); err != nil {
			outcomes[i] = task.Outcome{Kind: task.OutcomeRetry, Error: "the worker's outcome is refused: " + err.Error(), RetryAfter: -1}
		}
		outcomes[i].Run = of.GetRun()
	}
	return outcomes
}

func outcomeFromWire(w *fenfav1.Outcome, o *task.Outcome) error {
	o.Result, o.Error, o.RetryAfter = w.GetResult(), w.GetError(), -1
	switch w.GetKind() {
	case fenfav1.OutcomeKind_OUTCOME_KIND_DONE:
		o.Kind = task.OutcomeDone
	case fenfav1.OutcomeKind_OUTCOME_KIND_RETRY:
		o.Kind = task.OutcomeRetry
	case fenfav1.OutcomeKind_OUTCOME_KIND_DEAD:
		o.Kind = task.OutcomeDead
	case fenfav1.OutcomeKind_OUTCOME_KIND_RETURNED:
		o.Kind = task.OutcomeReturned
	default:
		return task.Errorf(task.CodeInvalidArgument, "kind %d is not known", w.GetKind())
	}
	if w.GetRetryAfter() != nil {
		var err error
		if o.RetryAfter, err = durationFromWire(w.GetRetryAfter(), "retry_after"); err != nil {
			return err
		}
	}
	if n := len(w.GetWrites()); n > 0 {
		o.Writes = make([]task.Write, n)
		for i, ww := range w.GetWrites() {
			o.Writes[i] = task.Write{
				Key: ww.GetKey(), Name: ww.GetName(), Expected: ww.GetExpectedVersion(), Value: ww.GetValue(),
				Delete: ww.GetDelete(), Chained: ww.GetChained(),
			}
			if ww.Add != nil {
				if ww.GetDelete() || ww.GetChained() || ww.GetExpectedVersion() != 0 || len(ww.GetValue()) > 0 {
					return task.Errorf(task.CodeInvalidArgument, "write %d adds, and has a version, a value or delete too", i)
				}
				o.Writes[i].Escrow, o.Writes[i].Delta = task.EscrowAdd, ww.GetAdd()
			}
		}
	}
	if n := len(w.GetReads()); n > 0 {
		o.Reads = make([]task.Read, n)
		for i, wr := range w.GetReads() {
			o.Reads[i] = task.Read{Key: wr.GetKey(), Name: wr.GetName(), Version: wr.GetVersion(), Chained: wr.GetChained()}
		}
	}
	if n := len(w.GetEmits()); n > 0 {
		o.Emits = make([]task.Task, n)
		for i, we := range w.GetEmits() {
			if err := taskFromWire(we, &o.Emits[i]); err != nil {
				return inField(err, "emits", i)
			}
		}
	}
	return nil
}

// leaseToWire makes the lease with one allocation for all of its tasks and one
// for the text of all of their IDs.
func leaseToWire(l *task.Lease) *fenfav1.Lease {
	w := &fenfav1.Lease{
		Ref: leaseRefToWire(l.LeaseRef), Queue: l.Queue, Ordered: l.Ordered,
		Tasks: make([]*fenfav1.Task, len(l.Tasks)), RecordsComplete: l.Complete,
	}
	if l.Timeout > 0 {
		w.Timeout = durationpb.New(l.Timeout)
	}
	tasks := make([]fenfav1.Task, len(l.Tasks))
	buf := make([]byte, 0, idText*len(l.Tasks))
	for i := range l.Tasks {
		buf = appendID(buf, l.Tasks[i].ID)
	}
	ids := string(buf)
	for i := range l.Tasks {
		t := &l.Tasks[i]
		taskToWire(&t.Task, ids[i*idText:(i+1)*idText], &tasks[i])
		tasks[i].Attempt, tasks[i].Delivery = uint32(t.Attempt), uint32(t.Delivery)
		w.Tasks[i] = &tasks[i]
	}
	w.Records = recordsToWire(l.Records)
	return w
}

func verdictToWire(v *task.Verdict) *fenfav1.Verdict {
	return &fenfav1.Verdict{
		Lease: leaseRefToWire(v.LeaseRef), Kind: verdictKindToWire(v.Kind), First: uint32(v.First), Count: uint32(v.Count),
		Records: recordsToWire(v.Records), RecordsComplete: v.Complete, Error: text(v.Error),
	}
}

func verdictKindToWire(k task.VerdictKind) fenfav1.VerdictKind {
	switch k {
	case task.VerdictCommitted:
		return fenfav1.VerdictKind_VERDICT_KIND_COMMITTED
	case task.VerdictConflict:
		return fenfav1.VerdictKind_VERDICT_KIND_CONFLICT
	case task.VerdictRefused:
		return fenfav1.VerdictKind_VERDICT_KIND_REFUSED
	case task.VerdictLate:
		return fenfav1.VerdictKind_VERDICT_KIND_LATE
	case task.VerdictStale:
	}
	return fenfav1.VerdictKind_VERDICT_KIND_STALE
}

func recordsToWire(records []task.Record) []*fenfav1.Record {
	if len(records) == 0 {
		return nil
	}
	out := make([]*fenfav1.Record, len(records))
	for i := range records {
		out[i] = recordToWire(&records[i])
	}
	return out
}

func recordToWire(r *task.Record) *fenfav1.Record {
	w := &fenfav1.Record{Key: r.Key, Name: r.Name, Version: r.Version, Value: r.Value, TaskId: idOrEmpty(r.TaskID)}
	w.Escrow, w.ReservedLow, w.ReservedHigh = r.Escrow, r.ReservedLow, r.ReservedHigh
	if r.UpdatedAt != 0 {
		w.UpdatedAt = timeToWire(r.UpdatedAt.Time())
	}
	return w
}
