package server

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/fenfa/fenfa/internal/task"
)

// inProcess is a connection to the services of this process: what comes in over
// HTTP passes the same rules on the same way as what comes in over gRPC. It knows
// unary methods only.
type inProcess struct {
	server  *Server
	methods map[string]inProcessMethod // by full name
}

type inProcessMethod struct {
	service any
	handler grpc.MethodHandler
}

// RegisterService implements grpc.ServiceRegistrar.
func (p *inProcess) RegisterService(desc *grpc.ServiceDesc, service any) {
	for i := range desc.Methods {
		m := &desc.Methods[i]
		p.methods["/"+desc.ServiceName+"/"+m.MethodName] = inProcessMethod{service, m.Handler}
	}
}

// Invoke implements grpc.ClientConnInterface. The context has a caller.
func (p *inProcess) Invoke(ctx context.Context, method string, args, reply any, _ ...grpc.CallOption) error {
	m, ok := p.methods[method]
	if !ok {
		return task.Errorf(task.CodeUnimplemented, "there is no method %s", method)
	}
	read := func(into any) error {
		proto.Merge(into.(proto.Message), args.(proto.Message))
		return nil
	}
	resp, err := m.handler(m.service, ctx, read, func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return p.server.answer(ctx, callerOf(ctx), info.FullMethod, req, handler)
	})
	if err != nil {
		return err
	}
	proto.Merge(reply.(proto.Message), resp.(proto.Message))
	return nil
}

// NewStream implements grpc.ClientConnInterface.
func (p *inProcess) NewStream(_ context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, task.Errorf(task.CodeUnimplemented, "there are no streams here: %s", method)
}
