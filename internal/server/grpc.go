package server

import (
	"context"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/fenfa/fenfa/internal/task"
)

// Sizes of gRPC buffers: fixed windows that a fast stream does not exhaust within
// a round trip, and writes that carry many small messages.
const (
	streamWindow = 4 << 20
	connWindow   = 16 << 20
	socketBuffer = 256 << 10
)

func (s *Server) newGRPC() *grpc.Server {
	g := grpc.NewServer(
		grpc.MaxRecvMsgSize(s.cfg.MaxRequest),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.ReadBufferSize(socketBuffer),
		grpc.WriteBufferSize(socketBuffer),
		grpc.ConnectionTimeout(s.cfg.Handshake),
		grpc.MaxConcurrentStreams(uint32(s.cfg.MaxStreams)),
		grpc.MaxHeaderListSize(maxHeader),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
	)
	s.services(g)
	return g
}

// unary lets in who may call a unary method, maps errors and contains panics.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	defer s.finish(info.FullMethod, &err)
	c, err := s.authenticateRPC(ctx)
	if err != nil {
		return nil, err
	}
	ctx, done := c.Begin(context.WithValue(ctx, callerKey{}, c))
	defer done()
	return s.answer(ctx, c, info.FullMethod, req, handler)
}

// stream lets in who may open a stream, maps errors and contains panics.
func (s *Server) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer s.finish(info.FullMethod, &err)
	c, err := s.authenticateRPC(stream.Context())
	if err != nil {
		return err
	}
	ctx, done := c.Begin(context.WithValue(stream.Context(), callerKey{}, c))
	defer done()
	return handler(srv, &guardedStream{ServerStream: stream, ctx: ctx, server: s, caller: c, method: info.FullMethod})
}

// finish is deferred around a gRPC method: it counts the call and turns whatever
// happened into a status.
func (s *Server) finish(method string, err *error) {
	if v := recover(); v != nil {
		*err = s.panicked(method, v)
	}
	s.count("grpc", *err)
	*err = statusOf(*err)
}

// count counts a request by how it ended.
func (s *Server) count(transport string, err error) {
	code := "ok"
	if err != nil {
		code = errorOf(err).Code.String()
	}
	s.metrics.requests.WithLabelValues(transport, code).Inc()
}

// contain is deferred in the goroutines of streams. end tells the other half.
func (s *Server) contain(where string, end func(error)) {
	if v := recover(); v != nil {
		end(s.panicked(where, v))
	}
}

// panicked logs a defect, and hides it from the caller.
func (s *Server) panicked(where string, v any) error {
	s.metrics.panics.Inc()
	s.cfg.Logger.Error("request panicked", "where", strings.TrimPrefix(where, "/"), "panic", v, "stack", string(debug.Stack()))
	return task.Errorf(task.CodeInternal, "the node failed at this request: its log says how")
}
