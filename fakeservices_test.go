package fenfa

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Put implements StateService.
func (f fakeState) Put(_ context.Context, req *fenfav1.PutRecordRequest) (*fenfav1.PutRecordResponse, error) {
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	k := fakeKey{req.GetKey(), req.GetName()}
	var version uint64
	if r := f.n.records[k]; r != nil && r.exists {
		version = r.version
	}
	if !req.GetAnyVersion() && version != req.GetExpectedVersion() {
		return nil, refusal(codes.Aborted, &fenfav1.Error{Code: fenfav1.Code_CODE_CONFLICT, Message: "another version"})
	}
	f.n.seq++
	f.n.records[k] = &fakeRecord{version: f.n.seq, value: req.GetValue(), exists: !req.GetDelete()}
	return &fenfav1.PutRecordResponse{Version: f.n.seq}, nil
}

// Scan implements StateService.
func (f fakeState) Scan(_ context.Context, req *fenfav1.ScanRecordsRequest) (*fenfav1.ScanRecordsResponse, error) {
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	resp := &fenfav1.ScanRecordsResponse{NextPageToken: req.GetPageToken() + "next"}
	for k, r := range f.n.records {
		if r.exists && strings.HasPrefix(k.key, req.GetKeyPrefix()) && (req.GetName() == "" || req.GetName() == k.name) {
			resp.Records = append(resp.Records, &fenfav1.Record{Key: k.key, Name: k.name, Version: r.version, Value: r.value})
		}
	}
	slices.SortFunc(resp.Records, func(a, b *fenfav1.Record) int { return strings.Compare(a.GetKey(), b.GetKey()) })
	if size := int(req.GetPageSize()); size > 0 && len(resp.Records) > size {
		resp.Records = resp.Records[:size]
	}
	return resp, nil
}

// History implements StateService.
func (f fakeState) History(_ context.Context, req *fenfav1.RecordHistoryRequest) (*fenfav1.RecordHistoryResponse, error) {
	return &fenfav1.RecordHistoryResponse{NextAfterSeq: req.GetAfterSeq() + 1, Changes: []*fenfav1.Change{{
		Seq: req.GetAfterSeq() + 1, At: timestamppb.New(time.Unix(7, 0)), Op: "put", Key: req.GetKey(), Name: req.GetName(),
		VersionBefore: 1, VersionAfter: 2, Value: []byte("v"), TaskId: NewID().String(), Attempt: 3, Node: "n", Worker: "w", Hash: []byte("h"),
	}}}, nil
}

// fakeQueues implements QueueService.
type fakeQueues struct {
	fenfav1.UnimplementedQueueServiceServer
	n *fakeNode
}

// Configure implements QueueService.
func (f fakeQueues) Configure(_ context.Context, req *fenfav1.ConfigureQueueRequest) (*fenfav1.ConfigureQueueResponse, error) {
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	_, have := f.n.queues[req.GetQueue().GetName()]
	f.n.queues[req.GetQueue().GetName()] = req.GetQueue()
	return &fenfav1.ConfigureQueueResponse{Queue: req.GetQueue(), Created: !have}, nil
}

// Describe implements QueueService.
func (f fakeQueues) Describe(_ context.Context, req *fenfav1.DescribeQueueRequest) (*fenfav1.DescribeQueueResponse, error) {
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	q := f.n.queues[req.GetName()]
	if q == nil {
		return nil, refusal(codes.NotFound, &fenfav1.Error{Code: fenfav1.Code_CODE_NOT_FOUND, Message: "no such queue", Field: "name", RetryAfter: durationpb.New(time.Second)})
	}
	return &fenfav1.DescribeQueueResponse{Queue: q, Stats: &fenfav1.QueueStats{BacklogTasks: 7, Oldest: timestamppb.New(time.Unix(5, 0)), StartP50: durationpb.New(time.Second), StartP99: durationpb.New(time.Minute), Waiting: []*fenfav1.WaitingClass{
		{Placement: &fenfav1.Placement{Require: []string{"gpu"}, Prefer: []string{"zone=a"}}, Tasks: 2, Parked: true}, {Tasks: 1, Workers: 3},
	}}}, nil
}

// List implements QueueService.
func (f fakeQueues) List(context.Context, *fenfav1.ListQueuesRequest) (*fenfav1.ListQueuesResponse, error) {
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	resp := &fenfav1.ListQueuesResponse{}
	for _, q := range f.n.queues {
		resp.Queues = append(resp.Queues, &fenfav1.DescribeQueueResponse{Queue: q})
	}
	return resp, nil
}

// fakeDead implements DeadService.
type fakeDead struct {
	fenfav1.UnimplementedDeadServiceServer
	n *fakeNode
}

// List implements DeadService.
func (f fakeDead) List(_ context.Context, req *fenfav1.ListDeadRequest) (*fenfav1.ListDeadResponse, error) {
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	resp := &fenfav1.ListDeadResponse{NextPageToken: req.GetPageToken() + "+"}
	for _, t := range f.n.order {
		if t.wire.GetQueue() == req.GetQueue() && t.state == fenfav1.TaskState_TASK_STATE_DEAD {
			resp.Dead = append(resp.Dead, t.dead())
		}
	}
	return resp, nil
}

// Get implements DeadService.
func (f fakeDead) Get(_ context.Context, req *fenfav1.GetDeadRequest) (*fenfav1.GetDeadResponse, error) {
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	t := f.n.tasks[req.GetId()]
	if t == nil || t.state != fenfav1.TaskState_TASK_STATE_DEAD {
		return nil, refusal(codes.NotFound, &fenfav1.Error{Code: fenfav1.Code_CODE_NOT_FOUND, Message: "not dead"})
	}
	return &fenfav1.GetDeadResponse{Dead: t.dead()}, nil
}

func (t *fakeTask) dead() *fenfav1.DeadLetter {
	d := &fenfav1.DeadLetter{Task: t.wire, Reason: "so", DiedAt: timestamppb.New(time.Unix(9, 0)), Attempts: uint32(t.attempts), Deliveries: uint32(t.deliveries)}
	for _, e := range t.errs {
		d.History = append(d.History, &fenfav1.Attempt{At: timestamppb.New(time.Unix(8, 0)), Worker: "w", Error: e})
	}
	return d
}

// Health implements ClusterService.
func (n *fakeNode) Health(context.Context, *fenfav1.HealthRequest) (*fenfav1.HealthResponse, error) {
	return &fenfav1.HealthResponse{Node: "fake", Version: "1", Ready: true, Problems: []string{"none"}, Partitions: 16, Durability: "fsync", StartedAt: timestamppb.New(time.Unix(1, 0))}, nil
}

// UpdateWorker implements ClusterService.
func (n *fakeNode) UpdateWorker(_ context.Context, req *fenfav1.UpdateWorkerRequest) (*fenfav1.UpdateWorkerResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, err := n.session(req.GetId())
	if err != nil {
		return nil, err
	}
	if req.Weight != nil {
		s.weight = req.GetWeight()
	}
	if req.Quiet != nil {
		if s.quiet && !req.GetQuiet() {
			s.push(&fenfav1.WorkResponse{Resumed: true})
		}
		s.quiet = req.GetQuiet()
	}
	return &fenfav1.UpdateWorkerResponse{Worker: s.worker()}, nil
}

// DrainWorker implements ClusterService.
func (n *fakeNode) DrainWorker(_ context.Context, req *fenfav1.DrainWorkerRequest) (*fenfav1.DrainWorkerResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, err := n.session(req.GetId())
	if err != nil {
		return nil, err
	}
	s.push(&fenfav1.WorkResponse{Drain: true, Leave: true})
	return &fenfav1.DrainWorkerResponse{Worker: s.worker()}, nil
}

func (n *fakeNode) session(id string) (*fakeSession, error) {
	for s := range n.sessions {
		if s.hello.GetWorkerId() == id {
			return s, nil
		}
	}
	return nil, refusal(codes.NotFound, &fenfav1.Error{Code: fenfav1.Code_CODE_NOT_FOUND, Message: "no such worker", Field: "id"})
}

func (s *fakeSession) worker() *fenfav1.Worker {
	w := &fenfav1.Worker{
		Id: s.hello.GetWorkerId(), State: "active", Queues: s.hello.GetQueues(), Slots: s.hello.GetSlots(), InFlight: uint32(s.used),
		Weight: s.hello.GetWeight(), EffectiveWeight: s.hello.GetWeight() / 10, Labels: s.hello.GetLabels(), Client: s.hello.GetClient(),
		HeartbeatAge: durationpb.New(time.Millisecond), Prefetch: uint32(s.prefetch),
		Serving: []*fenfav1.WorkerQueue{{
			Queue: s.hello.GetQueues()[0], InFlight: 1, Latency: durationpb.New(time.Second), EjectedUntil: timestamppb.New(time.Unix(3, 0)), EjectedFor: "failures",
		}},
	}
	if s.weight > 0 {
		w.Weight, w.WeightIsSet = s.weight, true
	}
	if s.quiet {
		w.State = "quiet"
	}
	return w
}

// Workers implements ClusterService.
func (n *fakeNode) Workers(context.Context, *fenfav1.WorkersRequest) (*fenfav1.WorkersResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	resp := &fenfav1.WorkersResponse{}
	for s := range n.sessions {
		resp.Workers = append(resp.Workers, s.worker())
	}
	return resp, nil
}
