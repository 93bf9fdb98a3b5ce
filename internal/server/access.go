package server

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/task"
)

// callerKey is where a context has its access.Caller.
type callerKey struct{}

// callerOf returns who calls. A context without a caller is a defect, which nobody
// profits from: what is asked panics.
func callerOf(ctx context.Context) *access.Caller {
	return ctx.Value(callerKey{}).(*access.Caller)
}

// authenticate finds out who calls by the value of an authorization header.
func (s *Server) authenticate(authorization []string, address string) (*access.Caller, error) {
	book := s.cfg.Access
	if book == nil || !book.Required() {
		return access.Anyone(address), nil
	}
	if len(authorization) == 0 {
		return nil, book.Missing()
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	if len(authorization) > 1 || !strings.EqualFold(scheme, "bearer") {
		return nil, book.Missing()
	}
	c, err := book.Authenticate(task.Secret(strings.TrimSpace(token)))
	if err != nil {
		return nil, err
	}
	c.Address = address
	return c, c.TakeRequest()
}

// authenticateRPC is authenticate for a gRPC call.
func (s *Server) authenticateRPC(ctx context.Context) (*access.Caller, error) {
	address := ""
	if p, ok := peer.FromContext(ctx); ok {
		address = p.Addr.String()
	}
	return s.authenticate(metadata.ValueFromIncomingContext(ctx, "authorization"), address)
}

// authenticated lets a handler begin when it is known who calls.
func (s *Server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := s.authenticate(r.Header.Values("Authorization"), r.RemoteAddr)
		if err != nil {
			s.writeError(w, r, err)
			return
		}
		ctx, done := c.Begin(context.WithValue(r.Context(), callerKey{}, c))
		defer done()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// answer lets a unary method run for a caller who may call it.
func (s *Server) answer(ctx context.Context, c *access.Caller, method string, req any, handler grpc.UnaryHandler) (any, error) {
	if err := s.permit(ctx, c, method, req); err != nil {
		return nil, err
	}
	resp, err := s.record(ctx, c, method, req, handler)
	if ended, ok := errors.AsType[*task.Error](context.Cause(ctx)); err != nil && ok && ended.Code == task.CodeUnauthenticated {
		return nil, ended // The token stopped counting while the call waited.
	}
	return resp, err
}

// guardedStream is a stream whose first message is held against the rule of its
// method, and whose context ends when the token of its caller stops counting.
type guardedStream struct {
	grpc.ServerStream
	ctx    context.Context //nolint:containedctx // It is the stream's own.
	server *Server
	caller *access.Caller
	method string
	begun  bool // used by the one who receives
}

// Context implements grpc.ServerStream.
func (g *guardedStream) Context() context.Context { return g.ctx }

// RecvMsg implements grpc.ServerStream.
func (g *guardedStream) RecvMsg(m any) error {
	if err := g.ServerStream.RecvMsg(m); err != nil || g.begun {
		return err
	}
	g.begun = true
	return g.server.permit(g.ctx, g.caller, g.method, m)
}
