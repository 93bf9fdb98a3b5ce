package server

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

const (
	// helloTimeout is how long a worker's stream may stay silent before its hello.
	helloTimeout = 10 * time.Second
	// messageBytes is what a message to a worker is filled up to.
	messageBytes = 1 << 20
)

type workStream = grpc.BidiStreamingServer[fenfav1.WorkRequest, fenfav1.WorkResponse]

// workerService implements fenfa.v1.WorkerService.
type workerService struct {
	fenfav1.UnimplementedWorkerServiceServer
	*Server
}

// errGoodbye says that the worker half-closed its stream.
var errGoodbye = errors.New("the worker ended the stream")

// Work is one worker's session: a reader takes outcomes and signs of life, this
// goroutine sends what dispatch has for the worker.
func (s *workerService) Work(stream workStream) error {
	ctx, cancel := s.streamContext(stream.Context())
	defer cancel()
	in := &workReader{server: s.Server, stream: stream, hello: make(chan *fenfav1.WorkRequest, 1), welcomed: make(chan *dispatch.Session, 1)}
	ctx, in.cancel = context.WithCancelCause(ctx)
	defer in.cancel(nil)
	s.readers.Go(func() {
		defer s.contain("worker stream reader", in.cancel)
		in.cancel(in.read(ctx))
	})
	session, err := s.welcome(ctx, stream, in)
	if err != nil {
		return err
	}
	return s.serve(ctx, stream, session)
}

// welcome waits for the hello, begins the session and answers.
func (s *workerService) welcome(ctx context.Context, stream workStream, in *workReader) (*dispatch.Session, error) {
	var hello *fenfav1.WorkRequest
	late := make(chan struct{})
	timer := s.cfg.Clock.AfterFunc(helloTimeout, func() { close(late) })
	defer timer.Stop()
	select {
	case hello = <-in.hello:
	case <-late:
		return nil, task.Errorf(task.CodeInvalidArgument, "no hello within %v: a worker says hello first", helloTimeout).WithField("hello")
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	address := ""
	if p, ok := peer.FromContext(ctx); ok {
		address = p.Addr.String()
	}
	h := helloFromWire(hello, callerOf(ctx), address)
	for _, name := range h.Queues {
		if err := s.knownQueue(name); err != nil {
			return nil, err
		}
	}
	session, err := s.cfg.Workers.Register(h)
	if err != nil {
		return nil, err
	}
	in.welcomed <- session
	err = stream.Send(&fenfav1.WorkResponse{Welcome: &fenfav1.Welcome{
		Node: s.cfg.Node, Version: s.cfg.Version, HeartbeatInterval: durationpb.New(s.cfg.Workers.HeartbeatInterval()),
	}})
	if err != nil {
		session.Lost()
		return nil, err
	}
	return session, nil
}

// knownQueue refuses a queue that does not exist: most likely it is mistyped, and
// the worker would wait forever.
func (s *Server) knownQueue(name string) error {
	if err := task.ValidateQueueName(name); err != nil {
		return errorOf(err).WithField("hello.queues")
	}
	if _, ok := s.cfg.Engine.Queue(name); ok {
		return nil
	}
	return partition.UnknownQueue(name, s.cfg.Engine.Queues()).WithField("hello.queues")
}

// serve sends until the session or the stream ends, and ends the other one.
func (s *workerService) serve(ctx context.Context, stream workStream, session *dispatch.Session) error {
	var batch dispatch.Batch
	for {
		err := session.Next(ctx, &batch)
		if err == nil {
			err = send(stream, &batch)
			if err != nil {
				if errors.Is(context.Cause(ctx), errGoodbye) {
					session.Leave()
					return nil
				}
				session.Lost()
				return err
			}
			continue
		}
		switch cause := context.Cause(ctx); {
		case cause == nil:
			return sessionEnd(err)
		case errors.Is(cause, errGoodbye):
			session.Leave()
			return nil
		default:
			session.Lost()
			return cause
		}
	}
}

// sessionEnd tells a worker why its session is over. The code of a replaced one
// is permanent: two workers with one name must not push each other out forever.
func sessionEnd(reason error) error {
	switch {
	case errors.Is(reason, dispatch.ErrReplaced):
		return task.Errorf(task.CodeAlreadyExists, "%w: give each worker a worker_id of its own", reason).WithField("hello.worker_id")
	case errors.Is(reason, dispatch.ErrStopped):
		return errStopped()
	default:
		return task.Errorf(task.CodeUnavailable, "the session ended, connect again: %w", reason)
	}
}

// send sends a batch as few messages of about a megabyte.
func send(stream workStream, b *dispatch.Batch) error {
	resp := &fenfav1.WorkResponse{Drain: b.Drain, Leave: b.Leave, Resumed: b.Resumed}
	size := 0
	flush := func(n int) error {
		if size += n; size < messageBytes {
			return nil
		}
		err := stream.Send(resp)
		resp, size = &fenfav1.WorkResponse{}, 0
		return err
	}
	for i := range b.Verdicts {
		resp.Verdicts = append(resp.Verdicts, verdictToWire(&b.Verdicts[i]))
		if err := flush(dispatch.VerdictSize(&b.Verdicts[i])); err != nil {
			return err
		}
	}
	for _, l := range b.Leases {
		n := dispatch.LeaseSize(l)
		// A big lease goes alone, so that no message grows to the sum of two.
		if size > 0 && size+n > 2*messageBytes {
			if err := flush(messageBytes); err != nil {
				return err
			}
		}
		resp.Leases = append(resp.Leases, leaseToWire(l))
		if err := flush(n); err != nil {
			return err
		}
	}
	// After the leases: one of them may be that of a task to be stopped.
	for _, c := range b.Cancels {
		resp.Cancels = append(resp.Cancels, &fenfav1.LeaseCancel{Lease: leaseRefToWire(c.LeaseRef), Index: uint32(c.Index)})
	}
	if size > 0 || resp.GetDrain() || resp.GetResumed() || len(resp.GetCancels()) > 0 {
		return stream.Send(resp)
	}
	return nil
}

// workReader is the reading half of a worker's stream.
type workReader struct {
	server   *Server
	stream   workStream
	hello    chan *fenfav1.WorkRequest // the message that it came with
	welcomed chan *dispatch.Session
	cancel   context.CancelCauseFunc
}

// read takes messages until the stream ends, and returns why it did.
func (r *workReader) read(ctx context.Context) error {
	first, err := r.receive()
	if err != nil {
		return err
	}
	if first.GetHello() == nil {
		return task.Errorf(task.CodeInvalidArgument, "the first message of a worker must carry its hello").WithField("hello")
	}
	r.hello <- first
	var session *dispatch.Session
	select {
	case session = <-r.welcomed:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c := callerOf(ctx)
	for req := first; ; {
		wishes(session, req)
		for _, n := range req.GetNews() {
			r.server.cfg.Engine.TaskNews(session.Ref(), leaseRefFromWire(n.GetLease()), int(n.GetIndex()), newsFromWire(n))
		}
		for _, o := range req.GetOutcomes() {
			session.Outcomes(leaseRefFromWire(o.GetLease()), int(o.GetFirst()), outcomesFromWire(c, o))
		}
		if req, err = r.receive(); err != nil {
			return err
		}
		session.Heard()
		if req.GetHello() != nil {
			return task.Errorf(task.CodeInvalidArgument, "a worker says hello once: open another stream for another session").WithField("hello")
		}
	}
}

// wishes applies what a message says of the worker itself. That comes before its
// outcomes: the slots that those free must not be filled again for a worker that
// wants nothing new.
func wishes(session *dispatch.Session, req *fenfav1.WorkRequest) {
	if req.Quiet != nil {
		session.Quiet(req.GetQuiet())
	}
	if req.GetDrain() {
		session.Drain()
	}
	if req.Prefetch != nil {
		session.Prefetch(int(req.GetPrefetch()))
	}
}

func (r *workReader) receive() (*fenfav1.WorkRequest, error) {
	req, err := r.stream.Recv()
	if errors.Is(err, io.EOF) {
		return nil, errGoodbye
	}
	return req, err
}
