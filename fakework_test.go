package fenfa

import (
	"errors"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

type fakeLease struct {
	ref   *fenfav1.LeaseRef
	lane  *fakeLane
	tasks []*fakeTask // nil: outcome is in
	next  int
	open  int
	runs  uint32 // ordered: conflicts
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

	prefetch int
	most     int // prefetch that was asked for
	quiet    bool
	weight   float64 // set from outside
}

// Work implements WorkerService.
func (n *fakeNode) Work(stream grpc.BidiStreamingServer[fenfav1.WorkRequest, fenfav1.WorkResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	s := &fakeSession{node: n, hello: first.GetHello(), quiet: first.GetQuiet(), leases: make(map[uint64]*fakeLease), wake: make(chan struct{}, 1)}
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
		if s.node.knobs.trip > 0 {
			<-time.After(s.node.knobs.trip)
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
	if req.Quiet != nil {
		s.quiet = req.GetQuiet()
	}
	if req.Prefetch != nil {
		s.prefetch = int(req.GetPrefetch())
		s.most = max(s.most, s.prefetch)
	}
	for _, o := range req.GetOutcomes() {
		l := s.leases[o.GetLease().GetToken()]
		switch {
		case l == nil:
			s.node.stale += len(o.GetOutcomes())
			s.verdict(&fenfav1.Verdict{Lease: o.GetLease(), Kind: fenfav1.VerdictKind_VERDICT_KIND_STALE, First: o.GetFirst(), Count: uint32(len(o.GetOutcomes()))})
		case l.lane.ordered:
			if o.GetRun() == l.runs+1 { // else of what ran before the conflict was heard of
				s.chain(l, int(o.GetFirst()), o.GetOutcomes())
			}
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
		case fenfav1.VerdictKind_VERDICT_KIND_COMMITTED, fenfav1.VerdictKind_VERDICT_KIND_STALE, fenfav1.VerdictKind_VERDICT_KIND_LATE:
		}
		s.verdict(&fenfav1.Verdict{Lease: l.ref, First: uint32(i), Count: 1})
		if o.GetKind() == fenfav1.OutcomeKind_OUTCOME_KIND_RETURNED {
			for _, t := range l.tasks[i:] {
				s.giveBack(t)
			}
			s.close(l)
			return
		}
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
		switch o.GetKind() {
		case fenfav1.OutcomeKind_OUTCOME_KIND_DONE:
		case fenfav1.OutcomeKind_OUTCOME_KIND_RETURNED:
			s.giveBack(t)
			t.state = fenfav1.TaskState_TASK_STATE_QUEUED
			l.lane.waiting = slices.Insert(l.lane.waiting, 0, t)
		default:
			s.node.failed(l.lane, t, o)
		}
	}
	if l.open == 0 {
		delete(s.leases, l.ref.GetToken())
	}
}

// giveBack undoes the delivery of a task.
func (s *fakeSession) giveBack(t *fakeTask) {
	t.deliveries--
	s.node.returned++
}

func (s *fakeSession) conflict(l *fakeLease, first, count int) {
	l.runs++
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
	if string(o.GetResult()) == "too late" {
		return fenfav1.VerdictKind_VERDICT_KIND_LATE
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
		m.Leave = m.GetLeave() || resp.GetLeave()
		m.Resumed = m.GetResumed() || resp.GetResumed()
		m.Cancels = append(m.Cancels, resp.GetCancels()...)
	} else {
		s.out = append(s.out, resp)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// cancel asks whoever has the task to stop it.
func (n *fakeNode) cancel(t *Task) {
	n.with(func() {
		for s := range n.sessions {
			for _, l := range s.leases {
				for i, ft := range l.tasks {
					if ft != nil && ft.wire.GetId() == t.ID().String() {
						s.push(&fenfav1.WorkResponse{Cancels: []*fenfav1.LeaseCancel{{Lease: l.ref, Index: uint32(i)}}})
					}
				}
			}
		}
	})
}

// grant leases what waits to sessions with free slots.
func (n *fakeNode) grant() {
	most := n.knobs.mostLease
	if most == 0 {
		most = 64
	}
	for s := range n.sessions {
		for _, lane := range n.ring {
			free := int(s.hello.GetSlots()) + s.prefetch - s.used
			if s.drained || s.quiet || free <= 0 {
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
