package fenfa

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// work keeps a session with the node until ctx ends, or the node refuses the worker
// for good or sends it away.
func (w *Worker) work(ctx context.Context, service fenfav1.WorkerServiceClient, conn *grpc.ClientConn, pool *pool) error {
	for failures := 0; ctx.Err() == nil; {
		started := time.Now()
		s, welcome, err := w.connect(ctx, service, conn, pool)
		if err == nil {
			w.client.cfg.logger.InfoContext(ctx, "worker connected", "worker", w.cfg.id, "node", s.node, "addr", w.client.addr)
			w.emit(Event{Kind: EventConnected, Node: s.node})
			err = s.run(ctx, welcome)
			if ctx.Err() != nil {
				return err
			}
			if s.sentAway.Load() {
				w.emit(Event{Kind: EventDisconnected, Node: s.node, Err: err, Final: true})
				return err
			}
			if s.useful {
				failures = 0
			}
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // There was no session, so there is nothing to finish.
		}
		if time.Since(started) > backoffMax { // It was a session, or the connection has waited.
			failures = 0
		}
		failures++
		if err := w.disconnected(ctx, err, failures); err != nil {
			return err
		}
		pause(ctx, backoffDelay(failures))
	}
	return nil
}

// disconnected tells what happened, and returns an error that a repeat would
// only meet again.
func (w *Worker) disconnected(ctx context.Context, err error, failures int) error {
	if err == nil { // The node dismissed the worker, and everything is confirmed.
		w.emit(Event{Kind: EventDisconnected})
		return nil
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = w.client.errorOf(ctx, err)
	}
	w.client.cfg.logger.WarnContext(ctx, "worker disconnected",
		"worker", w.cfg.id, "addr", w.client.addr, "code", e.Code.String(), "error", e.Message, "failures", failures)
	final := e.Code == CodeInvalidArgument || e.Code == CodeUnimplemented || e.Code == CodeNotFound || e.Code == CodeAlreadyExists ||
		w.client.cfg.refused(e.Code)
	w.emit(Event{Kind: EventDisconnected, Err: e, Final: final})
	if final {
		return e
	}
	return nil
}

// connect opens a stream, says hello and waits for the welcome.
func (w *Worker) connect(
	ctx context.Context, service fenfav1.WorkerServiceClient, conn *grpc.ClientConn, pool *pool,
) (*session, *fenfav1.WorkResponse, error) {
	w.client.await(ctx, conn)
	base, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	late := time.AfterFunc(w.client.cfg.dialTimeout, func() { cancel(context.DeadlineExceeded) })
	defer late.Stop()
	quiet := w.quiet.Load()
	stream, welcome, err := w.hello(base, service, quiet)
	if err != nil {
		e := w.client.errorOf(base, err)
		cancel(err)
		return nil, nil, e
	}
	s := newSession(base, cancel, w, pool)
	s.stream, s.node, s.toldQuiet = stream, welcome.GetWelcome().GetNode(), quiet
	w.current.Store(s)
	return s, welcome, nil
}

func (w *Worker) hello(ctx context.Context, service fenfav1.WorkerServiceClient, quiet bool) (workStream, *fenfav1.WorkResponse, error) {
	stream, err := service.Work(ctx)
	if err != nil {
		return nil, nil, err
	}
	req := &fenfav1.WorkRequest{Hello: &fenfav1.Hello{
		WorkerId: w.cfg.id,
		Queues:   w.queues(),
		Slots:    clampUint32(w.cfg.concurrency),
		Weight:   w.cfg.weight,
		Labels:   w.cfg.labels,
		Client:   clientName,
	}}
	if quiet { // Else what a person has said at the node counts.
		req.Quiet = &quiet
	}
	// An error of Send is io.EOF: the reason comes from Recv.
	_ = stream.Send(req)
	first, err := stream.Recv()
	if err != nil {
		return nil, nil, err
	}
	if first.GetWelcome() == nil {
		return nil, nil, errorf(CodeInternal, "the node at %s did not welcome worker %s", w.client.addr, w.cfg.id)
	}
	return stream, first, nil
}
