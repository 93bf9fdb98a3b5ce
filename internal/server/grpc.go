package server

import (
	"context"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
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
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
	)
	fenfav1.RegisterTaskServiceServer(g, &taskService{Server: s})
	fenfav1.RegisterWorkerServiceServer(g, &workerService{Server: s})
	fenfav1.RegisterStateServiceServer(g, &stateService{Server: s})
	fenfav1.RegisterLockServiceServer(g, &lockService{Server: s})
	fenfav1.RegisterWatchServiceServer(g, &watchService{Server: s})
	fenfav1.RegisterAuditServiceServer(g, &auditService{Server: s})
	fenfav1.RegisterQueueServiceServer(g, &queueService{Server: s})
	fenfav1.RegisterSagaServiceServer(g, &sagaService{Server: s})
	fenfav1.RegisterShardServiceServer(g, &shardService{Server: s})
	fenfav1.RegisterClusterServiceServer(g, &clusterService{Server: s})
	return g
}

// unary maps errors and contains panics of unary methods.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	defer s.finish(info.FullMethod, &err)
	return handler(ctx, req)
}

// stream maps errors and contains panics of streams.
func (s *Server) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer s.finish(info.FullMethod, &err)
	return handler(srv, stream)
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
