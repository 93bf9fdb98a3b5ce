package server

import (
	"context"
	"errors"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// maxAhead is how many bytes of tasks a submit stream reads ahead of the engine.
const maxAhead = 8 << 20

type submitStream = grpc.BidiStreamingServer[fenfav1.SubmitStreamRequest, fenfav1.SubmitStreamResponse]

// SubmitStream submits one gathering at a time, which keeps the order of the
// stream; what arrives meanwhile makes the next one, so that the gatherings, and
// with them the group commits, grow with the load.
func (s *taskService) SubmitStream(stream submitStream) error {
	ctx, cancel := s.streamContext(stream.Context())
	defer cancel()
	in := newIntake(s.room)
	defer in.close()
	s.readers.Go(func() {
		defer s.contain("submit stream reader", in.end)
		in.read(ctx, callerOf(ctx), stream)
	})
	spent := &gathering{}
	for {
		g, err := in.next(ctx, spent)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		results := s.submit(ctx, g.tasks)
		for i := range g.requests {
			if err := stream.Send(answer(&g.requests[i], results)); err != nil {
				return err
			}
			in.answered(g.requests[i].bytes)
		}
		spent = g
	}
}

// answer tells what of a request was not newly accepted.
func answer(r *request, results []partition.SubmitResult) *fenfav1.SubmitStreamResponse {
	resp := &fenfav1.SubmitStreamResponse{Sequence: r.sequence}
	r.each(results, func(i int, result *partition.SubmitResult) {
		if result.Duplicate || result.Err != nil {
			resp.Exceptions = append(resp.Exceptions, &fenfav1.SubmitException{Index: uint32(i), Result: resultToWire(result)})
		}
	})
	return resp
}

// intake is where a stream's reader gathers requests until the engine takes them.
type intake struct {
	room    *semaphore.Weighted // of the server, in bytes
	arrived chan struct{}       // holds a token while there may be something to take
	taken   chan struct{}       // holds a token while there may be room

	mu     sync.Mutex
	g      *gathering
	held   int64 // bytes of the server's room, of requests not answered yet
	closed bool
	err    error // why nothing more will come
}

func newIntake(room *semaphore.Weighted) *intake {
	return &intake{room: room, arrived: make(chan struct{}, 1), taken: make(chan struct{}, 1), g: &gathering{}}
}

// read gathers requests until the stream ends, or ctx does.
func (in *intake) read(ctx context.Context, c *access.Caller, stream submitStream) {
	for {
		req, err := stream.Recv()
		if err == nil {
			err = checkBatch(len(req.GetTasks()))
		}
		if err != nil {
			in.end(err)
			return
		}
		if !in.put(ctx, c, req) {
			return
		}
	}
}

// put adds a request once there is room for it, and reports false when ctx ended
// before.
func (in *intake) put(ctx context.Context, c *access.Caller, req *fenfav1.SubmitStreamRequest) bool {
	size := sizeOf(req.GetTasks())
	if in.room.Acquire(ctx, size) != nil {
		return false
	}
	in.mu.Lock()
	for !in.closed && in.g.bytes >= maxAhead {
		in.mu.Unlock()
		select {
		case <-in.taken:
		case <-ctx.Done():
			in.room.Release(size)
			return false
		}
		in.mu.Lock()
	}
	defer in.mu.Unlock()
	if in.closed {
		in.room.Release(size)
		return false
	}
	in.held += size
	in.g.add(c, req.GetSequence(), req.GetTasks(), true)
	in.g.requests[len(in.g.requests)-1].bytes = size
	signal(in.arrived)
	return true
}

// answered gives back the room of a request.
func (in *intake) answered(size int64) {
	in.mu.Lock()
	in.held -= size
	in.mu.Unlock()
	in.room.Release(size)
}

// close gives back the room of all requests that were not answered.
func (in *intake) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	in.room.Release(in.held)
	in.held = 0
}

// end says that nothing more will come.
func (in *intake) end(err error) {
	in.mu.Lock()
	in.err = err
	in.mu.Unlock()
	signal(in.arrived)
}

// next waits for requests and returns them in place of the spent gathering. After
// the last ones it returns why there are no more.
func (in *intake) next(ctx context.Context, spent *gathering) (*gathering, error) {
	spent.reset()
	for {
		in.mu.Lock()
		if len(in.g.requests) > 0 {
			g := in.g
			in.g = spent
			in.mu.Unlock()
			signal(in.taken)
			return g, nil
		}
		err := in.err
		in.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-in.arrived:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// signal puts a token into a channel that holds one.
func signal(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// errStopped ends streams when the server closes.
func errStopped() error {
	return task.Errorf(task.CodeUnavailable, "the node stops: connect to another one, or again later")
}
