package server

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
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
	in := newIntake()
	s.readers.Go(func() {
		defer s.contain("submit stream reader", in.end)
		in.read(ctx, stream)
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
	arrived chan struct{} // holds a token while there may be something to take
	taken   chan struct{} // holds a token while there may be room

	mu  sync.Mutex
	g   *gathering
	err error // why nothing more will come
}

func newIntake() *intake {
	return &intake{arrived: make(chan struct{}, 1), taken: make(chan struct{}, 1), g: &gathering{}}
}

// read gathers requests until the stream ends, or ctx does.
func (in *intake) read(ctx context.Context, stream submitStream) {
	for {
		req, err := stream.Recv()
		if err == nil {
			err = checkBatch(len(req.GetTasks()))
		}
		if err != nil {
			in.end(err)
			return
		}
		if !in.put(ctx, req) {
			return
		}
	}
}

// put adds a request once there is room, and reports false when ctx ended before.
func (in *intake) put(ctx context.Context, req *fenfav1.SubmitStreamRequest) bool {
	for {
		in.mu.Lock()
		if in.g.bytes < maxAhead {
			in.g.add(req.GetSequence(), req.GetTasks(), true)
			in.mu.Unlock()
			signal(in.arrived)
			return true
		}
		in.mu.Unlock()
		select {
		case <-in.taken:
		case <-ctx.Done():
			return false
		}
	}
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
