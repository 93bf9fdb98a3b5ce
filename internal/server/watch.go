package server

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/watch"
)

type watchStream = grpc.BidiStreamingServer[fenfav1.WatchRequest, fenfav1.WatchResponse]

// watchService implements fenfa.v1.WatchService.
type watchService struct {
	fenfav1.UnimplementedWatchServiceServer
	*Server
}

// Watch streams changes until the caller goes. What the caller does not read waits
// in the op log and nowhere else.
func (s *watchService) Watch(stream watchStream) error {
	ctx, cancel := s.streamContext(stream.Context())
	defer cancel()
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	w, err := s.openWatch(ctx, first)
	if err != nil {
		return err
	}
	defer w.Close()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	s.readers.Go(func() {
		defer s.contain("watch reader", end)
		for {
			req, err := stream.Recv()
			switch {
			case err != nil: // The caller ended its half, or the stream has ended.
				return
			case req.GetPing() == 0:
				end(task.Errorf(task.CodeInvalidArgument, "the watch is open already: later messages are pings").WithField("ping"))
				return
			default:
				w.Ping(req.GetPing())
			}
		}
	})
	return pump(ctx, w, stream.Send)
}

func (s *Server) openWatch(ctx context.Context, first *fenfav1.WatchRequest) (*watch.Watch, error) {
	req, err := watchRequestOf(first)
	if err != nil {
		return nil, err
	}
	w, err := s.cfg.Engine.Watch(ctx, req)
	if err != nil {
		return nil, err
	}
	if first.GetPing() != 0 {
		w.Ping(first.GetPing())
	}
	return w, nil
}

// pump sends what a watch hands out until one of them fails.
func pump(ctx context.Context, w *watch.Watch, send func(*fenfav1.WatchResponse) error) error {
	for {
		m, err := w.Next(ctx)
		if trimmed, ok := errors.AsType[*watch.TrimmedError](err); ok {
			return errors.Join(send(trimmedToWire(trimmed)), err)
		}
		if err != nil {
			return cause(ctx, err)
		}
		if err := send(watchToWire(&m)); err != nil {
			return err
		}
	}
}

// cause is why a stream ended: the server's stop says more than the end of ctx.
func cause(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}
