package fenfa

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
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
	fenfav1.UnimplementedQueueServiceServer
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

type fakeLease struct {
	ref   *fenfav1.LeaseRef
	lane  *fakeLane
	tasks []*fakeTask // nil: outcome is in
	next  int
	open  int
}

type fakeSession struct {
	node    *fakeNode
	hello   *fenfav1.Hello
	used    int
	leases  map[uint64]*fakeLease
	out     []*fenfav1.WorkResponse
	wake    chan struct{}
	drained bool
	beats   int
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
	timeout := time.After(20 * time.Second)
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
	return &fenfav1.GetTaskResponse{Status: &fenfav1.TaskStatus{
		Id: req.GetId(), State: t.state, Queue: t.wire.GetQueue(), Key: t.wire.GetKey(), Result: t.result, Task: t.wire,
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

// Work implements WorkerService.
func (n *fakeNode) Work(stream grpc.BidiStreamingServer[fenfav1.WorkRequest, fenfav1.WorkResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	s := &fakeSession{node: n, hello: first.GetHello(), leases: make(map[uint64]*fakeLease), wake: make(chan struct{}, 1)}
	if s.hello.GetWorkerId() == "refused" {
		return refusal(codes.InvalidArgument, &fenfav1.Error{Code: fenfav1.Code_CODE_INVALID_ARGUMENT, Message: "not you", Field: "hello.worker_id"})
	}
	n.with(func() {
		n.hellos = append(n.hellos, s.hello)
		n.sessions[s] = struct{}{}
		s.push(&fenfav1.WorkResponse{Welcome: &fenfav1.Welcome{Node: "fake", HeartbeatInterval: durationpb.New(20 * time.Millisecond)}})
		n.grant()
	})
	ended := make(chan error, 1)
	go func() { ended <- s.receive(stream) }()
	defer n.with(func() { s.end() })
	for {
		n.mu.Lock()
		out := s.out
		s.out = nil
		n.mu.Unlock()
		for _, resp := range out {
			if err := stream.Send(resp); err != nil {
				return err
			}
		}
		select {
		case <-s.wake:
		case err := <-ended:
			return err
		}
	}
}

func (s *fakeSession) receive(stream grpc.BidiStreamingServer[fenfav1.WorkRequest, fenfav1.WorkResponse]) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		s.node.mu.Lock()
		cut := s.node.knobs.cutWork != nil && s.node.knobs.cutWork()
		if !cut {
			s.message(req)
			s.node.grant()
		}
		s.node.notify()
		s.node.mu.Unlock()
		if cut {
			return status.Error(codes.Unavailable, "cut")
		}
	}
}

func (s *fakeSession) message(req *fenfav1.WorkRequest) {
	if req.GetHeartbeat() {
		s.beats++
	}
	s.drained = s.drained || req.GetDrain()
	for _, o := range req.GetOutcomes() {
		l := s.leases[o.GetLease().GetToken()]
		switch {
		case l == nil:
			s.node.stale += len(o.GetOutcomes())
			s.verdict(&fenfav1.Verdict{Lease: o.GetLease(), Kind: fenfav1.VerdictKind_VERDICT_KIND_STALE, First: o.GetFirst(), Count: uint32(len(o.GetOutcomes()))})
		case l.lane.ordered:
			s.chain(l, int(o.GetFirst()), o.GetOutcomes())
		default:
			s.scattered(l, int(o.GetFirst()), o.GetOutcomes())
		}
	}
}

func (s *fakeSession) chain(l *fakeLease, first int, outs []*fenfav1.Outcome) {
	if first != l.next {
		return
	}
	for _, o := range outs {
		i, t := l.next, l.tasks[l.next]
		switch s.node.settle(l, t, o) {
		case fenfav1.VerdictKind_VERDICT_KIND_CONFLICT:
			s.conflict(l, i, len(l.tasks)-i)
			return
		case fenfav1.VerdictKind_VERDICT_KIND_REFUSED:
			s.verdict(&fenfav1.Verdict{Lease: l.ref, Kind: fenfav1.VerdictKind_VERDICT_KIND_REFUSED, First: uint32(i), Count: 1, Error: "refused"})
			l.tasks[i] = nil
			s.close(l)
			return
		case fenfav1.VerdictKind_VERDICT_KIND_COMMITTED, fenfav1.VerdictKind_VERDICT_KIND_STALE:
		}
		s.verdict(&fenfav1.Verdict{Lease: l.ref, First: uint32(i), Count: 1})
		l.tasks[i] = nil
		l.next++
		l.open--
		if o.GetKind() != fenfav1.OutcomeKind_OUTCOME_KIND_DONE {
			s.close(l)
			s.node.failed(l.lane, t, o)
			return
		}
	}
	if l.open == 0 {
		s.close(l)
	}
}

func (s *fakeSession) scattered(l *fakeLease, first int, outs []*fenfav1.Outcome) {
	for k, o := range outs {
		i := first + k
		t := l.tasks[i]
		if t == nil {
			continue
		}
		kind := s.node.settle(l, t, o)
		if kind == fenfav1.VerdictKind_VERDICT_KIND_CONFLICT {
			s.conflict(l, i, 1)
			continue
		}
		s.verdict(&fenfav1.Verdict{Lease: l.ref, Kind: kind, First: uint32(i), Count: 1})
		l.tasks[i] = nil
		l.open--
		s.used--
		if o.GetKind() != fenfav1.OutcomeKind_OUTCOME_KIND_DONE {
			s.node.failed(l.lane, t, o)
		}
	}
	if l.open == 0 {
		delete(s.leases, l.ref.GetToken())
	}
}

func (s *fakeSession) conflict(l *fakeLease, first, count int) {
	v := &fenfav1.Verdict{Lease: l.ref, Kind: fenfav1.VerdictKind_VERDICT_KIND_CONFLICT, First: uint32(first), Count: uint32(count)}
	if !s.node.knobs.noTravel {
		v.Records, v.RecordsComplete = s.node.travel(l.tasks[first].wire.GetKey()), true
	}
	s.verdict(v)
}

// settle checks an outcome and makes a done one take effect.
func (n *fakeNode) settle(l *fakeLease, t *fakeTask, o *fenfav1.Outcome) fenfav1.VerdictKind {
	if n.knobs.before != nil {
		n.knobs.before(t)
	}
	if o.GetKind() != fenfav1.OutcomeKind_OUTCOME_KIND_DONE {
		return fenfav1.VerdictKind_VERDICT_KIND_COMMITTED
	}
	if o.GetError() != "" || string(o.GetResult()) == "refuse me" {
		t.state = fenfav1.TaskState_TASK_STATE_DEAD
		return fenfav1.VerdictKind_VERDICT_KIND_REFUSED
	}
	key := t.wire.GetKey()
	fits := func(name string, version uint64, chained bool) bool {
		r := n.records[fakeKey{key, name}]
		if r == nil {
			r = &fakeRecord{}
		}
		if chained {
			return r.token == l.ref.GetToken()
		}
		if !r.exists {
			return version == 0
		}
		return r.version == version
	}
	for _, r := range o.GetReads() {
		if !fits(r.GetName(), r.GetVersion(), r.GetChained()) {
			return fenfav1.VerdictKind_VERDICT_KIND_CONFLICT
		}
	}
	for _, w := range o.GetWrites() {
		if !fits(w.GetName(), w.GetExpectedVersion(), w.GetChained()) {
			return fenfav1.VerdictKind_VERDICT_KIND_CONFLICT
		}
	}
	for _, w := range o.GetWrites() {
		n.seq++
		n.records[fakeKey{key, w.GetName()}] = &fakeRecord{version: n.seq, value: w.GetValue(), token: l.ref.GetToken(), exists: !w.GetDelete()}
	}
	for _, e := range o.GetEmits() {
		n.accept(e)
	}
	t.state = fenfav1.TaskState_TASK_STATE_DONE
	t.effects++
	t.result, t.writes, t.reads = o.GetResult(), o.GetWrites(), o.GetReads()
	return fenfav1.VerdictKind_VERDICT_KIND_COMMITTED
}

func (n *fakeNode) failed(lane *fakeLane, t *fakeTask, o *fenfav1.Outcome) {
	t.attempts++
	t.errs = append(t.errs, o.GetError())
	t.delays = append(t.delays, o.GetRetryAfter())
	t.reads = o.GetReads()
	if o.GetKind() == fenfav1.OutcomeKind_OUTCOME_KIND_DEAD {
		t.state = fenfav1.TaskState_TASK_STATE_DEAD
		return
	}
	t.state = fenfav1.TaskState_TASK_STATE_QUEUED
	lane.waiting = slices.Insert(lane.waiting, 0, t)
}

// close ends an ordered lease: what has no outcome goes back.
func (s *fakeSession) close(l *fakeLease) {
	delete(s.leases, l.ref.GetToken())
	s.used -= max(1, 0)
	var back []*fakeTask
	for _, t := range l.tasks {
		if t != nil {
			t.state = fenfav1.TaskState_TASK_STATE_QUEUED
			back = append(back, t)
		}
	}
	l.lane.waiting = append(back, l.lane.waiting...)
	l.lane.leased = false
}

// revoke ends all leases of the session as if they had timed out.
func (s *fakeSession) revoke() {
	for _, l := range s.leases {
		if l.lane.ordered {
			s.close(l)
			continue
		}
		s.used -= l.open
		s.close(l)
		s.used++
	}
}

func (s *fakeSession) end() {
	s.revoke()
	delete(s.node.sessions, s)
	s.node.grant()
}

func (s *fakeSession) verdict(v *fenfav1.Verdict) {
	if !s.node.knobs.silent {
		s.push(&fenfav1.WorkResponse{Verdicts: []*fenfav1.Verdict{v}})
	}
}

func (s *fakeSession) push(resp *fenfav1.WorkResponse) {
	if last := len(s.out) - 1; last >= 0 {
		m := s.out[last]
		m.Verdicts = append(m.Verdicts, resp.GetVerdicts()...)
		m.Leases = append(m.Leases, resp.GetLeases()...)
		m.Drain = m.GetDrain() || resp.GetDrain()
	} else {
		s.out = append(s.out, resp)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// grant leases what waits to sessions with free slots.
func (n *fakeNode) grant() {
	most := n.knobs.mostLease
	if most == 0 {
		most = 64
	}
	for s := range n.sessions {
		for _, lane := range n.ring {
			free := int(s.hello.GetSlots()) - s.used
			if s.drained || free <= 0 {
				break
			}
			if lane.leased || len(lane.waiting) == 0 || !slices.Contains(s.hello.GetQueues(), lane.queue) {
				continue
			}
			count, slots := min(most, len(lane.waiting)), 1
			if !lane.ordered {
				count = min(count, free)
				slots = count
			}
			s.lease(lane, count)
			s.used += slots
		}
	}
}

func (s *fakeSession) lease(lane *fakeLane, count int) {
	n := s.node
	n.token++
	l := &fakeLease{ref: &fenfav1.LeaseRef{Partition: 1, Epoch: 1, Token: n.token}, lane: lane, tasks: slices.Clone(lane.waiting[:count]), open: count}
	lane.waiting = lane.waiting[count:]
	lane.leased = lane.ordered
	w := &fenfav1.Lease{Ref: l.ref, Queue: lane.queue, Ordered: lane.ordered, Timeout: durationpb.New(30 * time.Second)}
	if q := n.queues[lane.queue]; q.GetTimeout() != nil {
		w.Timeout = q.GetTimeout()
	}
	for _, t := range l.tasks {
		t.state = fenfav1.TaskState_TASK_STATE_RUNNING
		t.deliveries++
		out := (&Task{wire: t.wire}).copyWire()
		out.Attempt, out.Delivery, out.CreatedUnixMicros = uint32(t.attempts+1), uint32(t.deliveries), 1_700_000_000_000_000
		w.Tasks = append(w.Tasks, out)
	}
	if lane.ordered && !n.knobs.noTravel {
		w.Records, w.RecordsComplete = n.travel(l.tasks[0].wire.GetKey()), true
	}
	s.leases[n.token] = l
	s.push(&fenfav1.WorkResponse{Leases: []*fenfav1.Lease{w}})
}

func (n *fakeNode) travel(key string) []*fenfav1.Record {
	var records []*fenfav1.Record
	for k, r := range n.records {
		if k.key == key && r.exists {
			records = append(records, &fenfav1.Record{Key: k.key, Name: k.name, Version: r.version, Value: r.value})
		}
	}
	return records
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
