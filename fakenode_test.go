package fenfa

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// fakeNode is a node in memory that keeps the promises of the wire: durable and
// deduplicated submits, lanes by key, leases with tokens, versions, verdicts. It
// can be told to misbehave. Its state survives stop and start.
type fakeNode struct {
	fenfav1.UnimplementedTaskServiceServer
	fenfav1.UnimplementedWorkerServiceServer
	fenfav1.UnimplementedStateServiceServer
	fenfav1.UnimplementedClusterServiceServer

	tb   testing.TB
	addr string

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with every change
	server  *grpc.Server
	serving chan struct{}

	tasks    map[string]*fakeTask
	order    []*fakeTask
	lanes    map[string]*fakeLane
	ring     []*fakeLane
	records  map[fakeKey]*fakeRecord
	queues   map[string]*fenfav1.Queue
	sessions map[*fakeSession]struct{}
	hellos   []*fenfav1.Hello
	seq      uint64
	token    uint64
	streams  int
	requests int // of submit streams
	biggest  int // submit request, in tasks
	gets     int // of records
	stale    int // outcomes that came with an ended token
	returned int // tasks

	knobs fakeKnobs
}

// fakeKnobs is how the node misbehaves. All are called with the lock held.
type fakeKnobs struct {
	refuse    func(*fenfav1.Task) *fenfav1.Error
	status    func() error             // of every submit stream, at its begin
	cutSubmit func() (cut, after bool) // for every submit request
	cutWork   func() bool              // for every message of a worker
	before    func(*fakeTask)          // runs before a task's outcome is checked
	hold      chan struct{}            // submits are answered when it is closed
	noTravel  bool                     // records do not travel with leases
	mostLease int                      // tasks, default 64
	silent    bool                     // drops verdicts
	trip      time.Duration            // what a worker says arrives so much later
}

type fakeKey struct{ key, name string }

type fakeRecord struct {
	version uint64
	value   []byte
	token   uint64
	exists  bool
}

type fakeTask struct {
	wire       *fenfav1.Task
	state      fenfav1.TaskState
	attempts   int
	deliveries int
	effects    int
	result     []byte
	errs       []string
	delays     []*durationpb.Duration
	writes     []*fenfav1.Write
	reads      []*fenfav1.Read
}

type fakeLane struct {
	queue   string
	ordered bool
	waiting []*fakeTask
	leased  bool
}

func startFake(tb testing.TB) *fakeNode {
	tb.Helper()
	n := &fakeNode{
		tb:       tb,
		changed:  make(chan struct{}),
		tasks:    make(map[string]*fakeTask),
		lanes:    make(map[string]*fakeLane),
		records:  make(map[fakeKey]*fakeRecord),
		queues:   make(map[string]*fenfav1.Queue),
		sessions: make(map[*fakeSession]struct{}),
	}
	n.addr = "127.0.0.1:0"
	n.start()
	tb.Cleanup(n.stop)
	return n
}

func (n *fakeNode) start() {
	n.tb.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", n.addr)
	if err != nil {
		n.tb.Fatal(err)
	}
	n.addr = listener.Addr().String()
	server := grpc.NewServer(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}))
	fenfav1.RegisterTaskServiceServer(server, n)
	fenfav1.RegisterWorkerServiceServer(server, n)
	fenfav1.RegisterStateServiceServer(server, fakeState{n: n})
	fenfav1.RegisterQueueServiceServer(server, fakeQueues{n: n})
	fenfav1.RegisterDeadServiceServer(server, fakeDead{n: n})
	fenfav1.RegisterClusterServiceServer(server, n)
	serving := make(chan struct{})
	go func() {
		defer close(serving)
		_ = server.Serve(listener)
	}()
	n.mu.Lock()
	n.server, n.serving = server, serving
	n.mu.Unlock()
}

// stop cuts all connections at once. The node can start again at its address.
func (n *fakeNode) stop() {
	n.mu.Lock()
	server, serving := n.server, n.serving
	n.server = nil
	n.mu.Unlock()
	if server != nil {
		server.Stop()
		<-serving
	}
}

// with runs f under the lock.
func (n *fakeNode) with(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	n.notify()
}

func (n *fakeNode) notify() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// await waits until the condition, which is asked under the lock, holds.
func (n *fakeNode) await(what string, holds func() bool) {
	n.tb.Helper()
	timeout := time.After(time.Minute)
	for {
		n.mu.Lock()
		ok, changed := holds(), n.changed
		n.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			n.tb.Fatalf("never happened: %s", what)
		}
	}
}

func (n *fakeNode) state(id ID) fenfav1.TaskState {
	if t := n.tasks[id.String()]; t != nil {
		return t.state
	}
	return fenfav1.TaskState_TASK_STATE_UNSPECIFIED
}

// accept makes a task durable, or says why not. It returns nil for a new task.
func (n *fakeNode) accept(w *fenfav1.Task) *fenfav1.SubmitResult {
	if n.knobs.refuse != nil {
		if e := n.knobs.refuse(w); e != nil {
			return &fenfav1.SubmitResult{Id: w.GetId(), Error: e}
		}
	}
	if have := n.tasks[w.GetId()]; have != nil {
		if !proto.Equal(have.wire, w) {
			return &fenfav1.SubmitResult{Id: w.GetId(), Error: &fenfav1.Error{Code: fenfav1.Code_CODE_ALREADY_EXISTS, Message: "another task has this id"}}
		}
		return &fenfav1.SubmitResult{Id: w.GetId(), Duplicate: true, State: have.state}
	}
	t := &fakeTask{wire: w, state: fenfav1.TaskState_TASK_STATE_QUEUED}
	n.tasks[w.GetId()] = t
	n.order = append(n.order, t)
	name := w.GetQueue()
	ordered := n.queues[w.GetQueue()].GetOrder() != "none" && w.GetKey() != ""
	if ordered {
		name += "\x00" + w.GetKey()
	}
	lane := n.lanes[name]
	if lane == nil {
		lane = &fakeLane{queue: w.GetQueue(), ordered: ordered}
		n.lanes[name] = lane
		n.ring = append(n.ring, lane)
	}
	lane.waiting = append(lane.waiting, t)
	return nil
}

// Get implements TaskService.
func (n *fakeNode) Get(_ context.Context, req *fenfav1.GetTaskRequest) (*fenfav1.GetTaskResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.tasks[req.GetId()]
	if t == nil {
		return nil, refusal(codes.NotFound, &fenfav1.Error{Code: fenfav1.Code_CODE_NOT_FOUND, Message: "no such task", Field: "id"})
	}
	waitsFor := ""
	if require := t.wire.GetPlacement().GetRequire(); len(require) > 0 {
		waitsFor = "a worker with " + require[0]
	}
	return &fenfav1.GetTaskResponse{Status: &fenfav1.TaskStatus{
		WaitsFor: waitsFor, Id: req.GetId(), State: t.state, Queue: t.wire.GetQueue(), Key: t.wire.GetKey(), Result: t.result, Task: t.wire,
		Attempts: uint32(t.attempts), Deliveries: uint32(t.deliveries),
	}}, nil
}

func refusal(code codes.Code, e *fenfav1.Error) error {
	st, err := status.New(code, e.GetMessage()).WithDetails(e)
	if err != nil {
		return err
	}
	return st.Err()
}

// SubmitStream implements TaskService.
func (n *fakeNode) SubmitStream(stream grpc.BidiStreamingServer[fenfav1.SubmitStreamRequest, fenfav1.SubmitStreamResponse]) error {
	n.mu.Lock()
	n.streams++
	begin := n.knobs.status
	n.mu.Unlock()
	if begin != nil {
		if err := begin(); err != nil {
			return err
		}
	}
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		resp, err := n.submit(stream.Context(), req)
		if err != nil {
			return err
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
}

func (n *fakeNode) submit(ctx context.Context, req *fenfav1.SubmitStreamRequest) (*fenfav1.SubmitStreamResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer n.notify()
	n.requests++
	n.biggest = max(n.biggest, len(req.GetTasks()))
	if hold := n.knobs.hold; hold != nil {
		n.notify()
		n.mu.Unlock()
		select {
		case <-hold:
		case <-ctx.Done():
		}
		n.mu.Lock()
	}
	var cut, after bool
	if n.knobs.cutSubmit != nil {
		cut, after = n.knobs.cutSubmit()
	}
	if cut && !after {
		return nil, status.Error(codes.Unavailable, "cut before")
	}
	resp := &fenfav1.SubmitStreamResponse{Sequence: req.GetSequence()}
	for i, w := range req.GetTasks() {
		if r := n.accept(w); r != nil {
			resp.Exceptions = append(resp.Exceptions, &fenfav1.SubmitException{Index: uint32(i), Result: r})
		}
	}
	n.grant()
	if cut {
		return nil, status.Error(codes.Unavailable, "cut after")
	}
	return resp, nil
}

// put is a write from outside.
func (n *fakeNode) put(key, name, value string) {
	n.seq++
	n.records[fakeKey{key, name}] = &fakeRecord{version: n.seq, value: []byte(value), exists: true}
}

// fakeState implements StateService, whose Get has the name of TaskService's.
type fakeState struct {
	fenfav1.UnimplementedStateServiceServer
	n *fakeNode
}

// Get implements StateService.
func (f fakeState) Get(_ context.Context, req *fenfav1.GetRecordRequest) (*fenfav1.GetRecordResponse, error) {
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	f.n.gets++
	r := f.n.records[fakeKey{req.GetKey(), req.GetName()}]
	if r == nil || !r.exists {
		return nil, refusal(codes.NotFound, &fenfav1.Error{Code: fenfav1.Code_CODE_NOT_FOUND, Message: "no such record"})
	}
	return &fenfav1.GetRecordResponse{Record: &fenfav1.Record{Key: req.GetKey(), Name: req.GetName(), Version: r.version, Value: r.value}}, nil
}
