package fenfa

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Token says who may do what. It does not hold the secret that its owner shows.
type Token struct {
	ID     string
	Name   string
	Scopes []string // like "orders:submit,read"
	Limits TokenLimits

	CreatedAt     time.Time
	CreatedBy     string    // name of the token that made it; empty: the node asked for none
	ExpiresAt     time.Time // zero: never
	LastUsedAt    time.Time // to within ten minutes; zero: not yet
	RotatedAt     time.Time // zero: not yet
	PreviousUntil time.Time // until then the secret before the last rotation counts
}

// TokenLimits bounds what a token may ask of each node. What is beyond fails with
// CodeResourceExhausted and a RetryAfter. Zero fields bound nothing.
type TokenLimits struct {
	Requests float64       // a second
	Tasks    float64       // submitted a second
	Bytes    float64       // of payload, submitted a second
	Burst    time.Duration // for how long what was not used adds up, 1 s to 1 h; zero: 1 s
}

// TokenSpec is what a new token shall be.
type TokenSpec struct {
	Name      string        // unique: 1 to 64 letters, digits and . _ -
	Scopes    []string      // 1 to 64, like "orders:submit,read", "orders-*:work", "*:admin"
	ExpiresIn time.Duration // zero: never
	Limits    TokenLimits
}

// NewToken is a token that was made or rotated, with the secret that is not shown
// again.
type NewToken struct {
	Token
	Secret Secret
	// Required reports, of a token that was made, whether the node asks for tokens.
	// Else whoever reaches it may do anything.
	Required bool
}

// Tokens keeps the API tokens. All of its calls need the scope *:admin where the node
// asks for tokens.
type Tokens struct{ client *Client }

// Tokens returns the keeper of the API tokens.
func (c *Client) Tokens() *Tokens { return &Tokens{c} }

// Create makes a token. It fails with CodeAlreadyExists where the name is taken.
func (t *Tokens) Create(ctx context.Context, spec TokenSpec) (NewToken, error) {
	req := &fenfav1.CreateTokenRequest{Name: spec.Name, Scopes: spec.Scopes, ExpiresIn: durationToWire(spec.ExpiresIn)}
	if l := spec.Limits; l != (TokenLimits{}) {
		req.Limits = &fenfav1.TokenLimits{Requests: l.Requests, Tasks: l.Tasks, Bytes: l.Bytes, Burst: durationToWire(l.Burst)}
	}
	resp, err := call(ctx, t.client, "create token", t.client.tokens.Create, req)
	if err != nil {
		return NewToken{}, err
	}
	return NewToken{Token: tokenFromWire(resp.GetToken()), Secret: NewSecret(resp.GetSecret()), Required: resp.GetRequired()}, nil
}

// List returns all tokens, by name.
func (t *Tokens) List(ctx context.Context) ([]Token, error) {
	resp, err := call(ctx, t.client, "list tokens", t.client.tokens.List, &fenfav1.ListTokensRequest{})
	if err != nil {
		return nil, err
	}
	tokens := make([]Token, len(resp.GetTokens()))
	for i, w := range resp.GetTokens() {
		tokens[i] = tokenFromWire(w)
	}
	return tokens, nil
}

// Get returns the token with this id or name.
func (t *Tokens) Get(ctx context.Context, idOrName string) (Token, error) {
	resp, err := call(ctx, t.client, "get token", t.client.tokens.Get, &fenfav1.GetTokenRequest{Id: idOrName})
	if err != nil {
		return Token{}, err
	}
	return tokenFromWire(resp.GetToken()), nil
}

// Rotate gives a token another secret. The one before counts for the grace period
// more, at most 720 h; zero ends it at once. expiresIn counts from now on; zero leaves
// the expiry as it is.
func (t *Tokens) Rotate(ctx context.Context, idOrName string, grace, expiresIn time.Duration) (NewToken, error) {
	resp, err := call(ctx, t.client, "rotate token", t.client.tokens.Rotate,
		&fenfav1.RotateTokenRequest{Id: idOrName, Grace: durationpb.New(grace), ExpiresIn: durationToWire(expiresIn)})
	if err != nil {
		return NewToken{}, err
	}
	return NewToken{Token: tokenFromWire(resp.GetToken()), Secret: NewSecret(resp.GetSecret())}, nil
}

// Revoke ends a token for good. Calls and streams with it end at once on this node,
// and within seconds on others.
func (t *Tokens) Revoke(ctx context.Context, idOrName string) error {
	_, err := call(ctx, t.client, "revoke token", t.client.tokens.Revoke, &fenfav1.RevokeTokenRequest{Id: idOrName})
	return err
}

func tokenFromWire(w *fenfav1.Token) Token {
	l := w.GetLimits()
	return Token{
		ID: w.GetId(), Name: w.GetName(), Scopes: w.GetScopes(), CreatedBy: w.GetCreatedBy(),
		Limits:    TokenLimits{Requests: l.GetRequests(), Tasks: l.GetTasks(), Bytes: l.GetBytes(), Burst: l.GetBurst().AsDuration()},
		CreatedAt: timeOf(w.GetCreatedAt()), ExpiresAt: timeOf(w.GetExpiresAt()), LastUsedAt: timeOf(w.GetLastUsedAt()),
		RotatedAt: timeOf(w.GetRotatedAt()), PreviousUntil: timeOf(w.GetPreviousUntil()),
	}
}
