package server

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/task"
)

// tokenService implements fenfa.v1.TokenService.
type tokenService struct {
	fenfav1.UnimplementedTokenServiceServer
	*Server
}

func (s *tokenService) book() (*access.Book, error) {
	if s.cfg.Access == nil {
		return nil, task.Errorf(task.CodeUnimplemented, "this node keeps no tokens")
	}
	return s.cfg.Access, nil
}

// Create makes a token.
func (s *tokenService) Create(ctx context.Context, req *fenfav1.CreateTokenRequest) (*fenfav1.CreateTokenResponse, error) {
	book, err := s.book()
	if err != nil {
		return nil, err
	}
	spec := access.Spec{Name: req.GetName(), Scopes: req.GetScopes(), By: callerOf(ctx).Name}
	if spec.ExpiresIn, err = spanOf("expires_in", req.GetExpiresIn()); err != nil {
		return nil, err
	}
	l := req.GetLimits()
	spec.Limits = access.Limits{Requests: l.GetRequests(), Tasks: l.GetTasks(), Bytes: l.GetBytes()}
	if spec.Limits.Burst, err = spanOf("limits.burst", l.GetBurst()); err != nil {
		return nil, err
	}
	t, secret, err := book.Create(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &fenfav1.CreateTokenResponse{Token: tokenToWire(&t), Secret: secret.Reveal(), Required: book.Required()}, nil
}

// spanOf reads a duration that is unset or more than 0.
func spanOf(field string, w *durationpb.Duration) (time.Duration, error) {
	d, err := durationOf(field, w)
	if err == nil && w != nil && d <= 0 {
		err = task.Errorf(task.CodeInvalidArgument, "%s is %v: want more than 0, or leave it out", field, d).WithField(field)
	}
	return d, err
}

// List shows all tokens.
func (s *tokenService) List(ctx context.Context, _ *fenfav1.ListTokensRequest) (*fenfav1.ListTokensResponse, error) {
	book, err := s.book()
	if err != nil {
		return nil, err
	}
	all, err := book.List(ctx)
	if err != nil {
		return nil, err
	}
	resp := &fenfav1.ListTokensResponse{Required: book.Required()}
	for i := range all {
		resp.Tokens = append(resp.Tokens, tokenToWire(&all[i]))
	}
	return resp, nil
}

// Get shows one token.
func (s *tokenService) Get(ctx context.Context, req *fenfav1.GetTokenRequest) (*fenfav1.GetTokenResponse, error) {
	book, err := s.book()
	if err != nil {
		return nil, err
	}
	t, err := book.Get(ctx, req.GetId())
	if err != nil {
		return nil, err
	}
	return &fenfav1.GetTokenResponse{Token: tokenToWire(&t)}, nil
}

// Rotate gives a token another secret.
func (s *tokenService) Rotate(ctx context.Context, req *fenfav1.RotateTokenRequest) (*fenfav1.RotateTokenResponse, error) {
	book, err := s.book()
	if err != nil {
		return nil, err
	}
	grace, err := durationOf("grace", req.GetGrace())
	if err != nil {
		return nil, err
	}
	switch {
	case req.GetGrace() == nil:
		grace = access.DefaultGrace
	case grace < 0:
		return nil, task.Errorf(task.CodeInvalidArgument, "grace is %v: want 0 or more", grace).WithField("grace")
	}
	expiresIn, err := spanOf("expires_in", req.GetExpiresIn())
	if err != nil {
		return nil, err
	}
	t, secret, err := book.Rotate(ctx, req.GetId(), grace, expiresIn)
	if err != nil {
		return nil, err
	}
	return &fenfav1.RotateTokenResponse{Token: tokenToWire(&t), Secret: secret.Reveal()}, nil
}

// Revoke ends a token for good.
func (s *tokenService) Revoke(ctx context.Context, req *fenfav1.RevokeTokenRequest) (*fenfav1.RevokeTokenResponse, error) {
	book, err := s.book()
	if err != nil {
		return nil, err
	}
	if _, err := book.Revoke(ctx, req.GetId()); err != nil {
		return nil, err
	}
	return &fenfav1.RevokeTokenResponse{}, nil
}

func tokenToWire(t *access.Token) *fenfav1.Token {
	w := &fenfav1.Token{
		Id: t.ID, Name: t.Name, Scopes: t.Scopes, CreatedAt: timeToWire(t.CreatedAt), CreatedBy: t.CreatedBy,
		ExpiresAt: timeToWire(t.ExpiresAt), LastUsedAt: timeToWire(t.LastUsed), RotatedAt: timeToWire(t.RotatedAt), PreviousUntil: timeToWire(t.PreviousUntil),
	}
	if l := t.Limits; l != (access.Limits{}) {
		w.Limits = &fenfav1.TokenLimits{Requests: l.Requests, Tasks: l.Tasks, Bytes: l.Bytes, Burst: durationpb.New(l.Burst)}
	}
	return w
}
