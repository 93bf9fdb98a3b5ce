package server

import (
	"context"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/pull"
	"github.com/fenfa/fenfa/internal/task"
)

// extension is how long tasks get that are extended without a word how long.
const extension = 30 * time.Second

// leaseService implements fenfa.v1.LeaseService.
type leaseService struct {
	fenfav1.UnimplementedLeaseServiceServer
	*Server
}

// Lease waits for tasks.
func (s *leaseService) Lease(ctx context.Context, req *fenfav1.LeaseRequest) (*fenfav1.LeaseResponse, error) {
	r := pull.Request{
		WorkerID: req.GetWorkerId(), Queues: req.GetQueues(), Labels: req.GetLabels(), Weight: req.GetWeight(),
		Slots: int(req.GetSlots()), Most: int(req.GetMaxTasks()), Batch: int(req.GetBatch()), Client: req.GetClient(), Address: callerOf(ctx).Address,
		Owner: callerOf(ctx).ID,
	}
	var err error
	if r.Wait, err = durationFromWire(orZero(req.GetWait()), "wait"); err != nil {
		return nil, err
	}
	if r.TTL, err = durationFromWire(orZero(req.GetTtl()), "ttl"); err != nil {
		return nil, err
	}
	for _, name := range r.Queues {
		if err := s.knownQueue(name); err != nil {
			return nil, pulled(err)
		}
	}
	ctx, cancel := s.streamContext(ctx)
	defer cancel()
	tasks, err := s.pull.Lease(ctx, r)
	if err != nil {
		return nil, pulled(err)
	}
	resp := &fenfav1.LeaseResponse{Tasks: make([]*fenfav1.LeasedTask, len(tasks))}
	for i := range tasks {
		resp.Tasks[i] = leasedToWire(&tasks[i], req.GetRecords())
	}
	return resp, nil
}

// pulled names the fields of the request in an error about a worker's hello.
func pulled(err error) error {
	e := *errorOf(err)
	e.Field = strings.TrimPrefix(e.Field, "hello.")
	return &e
}

func leasedToWire(l *pull.Leased, records bool) *fenfav1.LeasedTask {
	w := &fenfav1.LeasedTask{Lease: l.ID, Task: &fenfav1.Task{}, Timeout: durationpb.New(l.Timeout), Follows: l.Follows}
	taskToWire(&l.Task, l.Task.ID.String(), w.GetTask())
	w.Task.Attempt, w.Task.Delivery = uint32(l.Attempt), uint32(l.Delivery)
	if records && l.Follows == "" {
		w.Records, w.RecordsComplete = recordsToWire(l.Records), l.Complete
	}
	return w
}

// Extend gives tasks more time.
func (s *leaseService) Extend(ctx context.Context, req *fenfav1.ExtendRequest) (*fenfav1.ExtendResponse, error) {
	if err := checkCount("leases", len(req.GetLeases())); err != nil {
		return nil, err
	}
	by, err := durationFromWire(orZero(req.GetTimeout()), "timeout")
	if err != nil {
		return nil, err
	}
	if by == 0 {
		by = extension
	}
	resp := &fenfav1.ExtendResponse{Results: make([]*fenfav1.LeaseResult, len(req.GetLeases()))}
	for i, lease := range req.GetLeases() {
		resp.Results[i] = &fenfav1.LeaseResult{Lease: lease}
		err := s.mayAnswer(callerOf(ctx), lease)
		if err == nil {
			resp.Results[i].Cancelled, err = s.pull.Extend(ctx, lease, by)
		}
		if err != nil {
			resp.Results[i].Error = errorToWire(errorOf(err))
		}
	}
	return resp, nil
}

// mayAnswer says whether the caller may speak of a lease. Of one that has ended
// nothing can be said that would change anything.
func (s *leaseService) mayAnswer(c *access.Caller, lease string) error {
	if c.Covers(access.Work, "") {
		return nil
	}
	queue, open := s.pull.QueueOf(lease)
	if !open {
		return nil
	}
	return c.Check(access.Work, queue)
}

// Complete says that tasks are done.
func (s *leaseService) Complete(ctx context.Context, req *fenfav1.CompleteRequest) (*fenfav1.CompleteResponse, error) {
	if err := checkCount("tasks", len(req.GetTasks())); err != nil {
		return nil, err
	}
	answers := make([]pull.Answer, len(req.GetTasks()))
	for i, w := range req.GetTasks() {
		answers[i].Lease = w.GetLease()
		done := &fenfav1.Outcome{Result: w.GetResult(), Writes: w.GetWrites(), Reads: w.GetReads(), Emits: w.GetEmits()}
		if err := outcomeFromWire(done, &answers[i].Outcome); err != nil {
			return nil, inField(err, "tasks", i)
		}
	}
	return &fenfav1.CompleteResponse{Results: s.answer(ctx, answers)}, nil
}

// Fail says that attempts failed.
func (s *leaseService) Fail(ctx context.Context, req *fenfav1.FailRequest) (*fenfav1.FailResponse, error) {
	if err := checkCount("tasks", len(req.GetTasks())); err != nil {
		return nil, err
	}
	answers := make([]pull.Answer, len(req.GetTasks()))
	for i, w := range req.GetTasks() {
		failed := &fenfav1.Outcome{Kind: fenfav1.OutcomeKind_OUTCOME_KIND_RETRY, Error: w.GetError(), RetryAfter: w.GetRetryAfter()}
		switch {
		case w.GetDead() && w.GetReturned():
			return nil, inField(task.Errorf(task.CodeInvalidArgument, "a task that was not begun cannot be dead").WithField("returned"), "tasks", i)
		case (w.GetDead() || w.GetReturned()) && w.GetRetryAfter() != nil:
			return nil, inField(task.Errorf(task.CodeInvalidArgument, "retry_after is for an attempt that is to be repeated").WithField("retry_after"), "tasks", i)
		case w.GetDead():
			failed.Kind = fenfav1.OutcomeKind_OUTCOME_KIND_DEAD
		case w.GetReturned():
			failed.Kind = fenfav1.OutcomeKind_OUTCOME_KIND_RETURNED
		}
		answers[i].Lease = w.GetLease()
		if err := outcomeFromWire(failed, &answers[i].Outcome); err != nil {
			return nil, inField(err, "tasks", i)
		}
	}
	return &fenfav1.FailResponse{Results: s.answer(ctx, answers)}, nil
}

// answer hands outcomes to the engine and says what became of them. What the caller
// may not do by an outcome is refused by itself, and the lease stays.
func (s *leaseService) answer(ctx context.Context, answers []pull.Answer) []*fenfav1.LeaseResult {
	ctx, cancel := s.streamContext(ctx)
	defer cancel()
	c := callerOf(ctx)
	results := make([]*fenfav1.LeaseResult, len(answers))
	allowed, places := make([]pull.Answer, 0, len(answers)), make([]int, 0, len(answers))
	for i := range answers {
		results[i] = &fenfav1.LeaseResult{Lease: answers[i].Lease}
		err := s.mayAnswer(c, answers[i].Lease)
		if err == nil {
			err = refuseForeign(c, &answers[i].Outcome)
		}
		if err != nil {
			results[i].Error = errorToWire(errorOf(err))
			continue
		}
		allowed, places = append(allowed, answers[i]), append(places, i)
	}
	for i, r := range s.pull.Answer(ctx, allowed) {
		w := results[places[i]]
		w.Records, w.RecordsComplete = recordsToWire(r.Records), r.Complete
		if r.Err != nil {
			w.Error = errorToWire(errorOf(r.Err))
		}
	}
	return results
}

// checkCount holds the bounds of what one call says.
func checkCount(field string, n int) error {
	switch {
	case n == 0:
		return task.Errorf(task.CodeInvalidArgument, "the request has no %s: name at least one", field).WithField(field)
	case n > pull.MaxTasks:
		return task.Errorf(task.CodeTooLarge, "the request has %d %s; at most %d are allowed: split it", n, field, pull.MaxTasks).WithField(field)
	}
	return nil
}
