package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// changeAttempts bounds how often a change is tried against others.
const changeAttempts = 16

// Spec is what a new token shall be.
type Spec struct {
	Name      string
	Scopes    []string
	ExpiresIn time.Duration // 0: never
	Limits    Limits
	By        string // name of who makes it
}

// Create makes a token. The secret is returned once.
func (b *Book) Create(ctx context.Context, spec Spec) (Token, task.Secret, error) {
	if err := checkName(spec.Name); err != nil {
		return Token{}, "", err
	}
	scopes, err := ParseScopes(spec.Scopes)
	if err != nil {
		return Token{}, "", err
	}
	if err := spec.Limits.fill(); err != nil {
		return Token{}, "", err
	}
	now := b.cfg.Clock.Now()
	expires, err := expiry(now, spec.ExpiresIn)
	if err != nil {
		return Token{}, "", err
	}
	b.changing.Lock()
	defer b.changing.Unlock()
	if err := b.refresh(ctx); err != nil {
		return Token{}, "", err
	}
	if t := b.find(spec.Name); t != nil {
		return Token{}, "", task.Errorf(task.CodeAlreadyExists, "there is a token with the name %q: choose another, or rotate that one", spec.Name).WithField("name")
	}
	id, secret := Generate()
	hash := hashOf(secret)
	t := Token{ID: id, Name: spec.Name, Limits: spec.Limits, CreatedAt: now.UTC(), CreatedBy: spec.By, ExpiresAt: expires, Hash: hash[:]}
	for _, s := range scopes {
		t.Scopes = append(t.Scopes, s.String())
	}
	if err := b.put(ctx, &t, 0); err != nil {
		return Token{}, "", err
	}
	return t, secret, b.refresh(ctx)
}

// find returns the token with this id or name, or nil.
func (b *Book) find(idOrName string) *Token {
	known := *b.known.Load()
	if h := known[idOrName]; h != nil && idOrName != rootName {
		return h.token
	}
	for _, h := range known {
		if h.token.Name == idOrName && h.token.ID != rootName {
			return h.token
		}
	}
	return nil
}

func (b *Book) put(ctx context.Context, t *Token, version uint64) error {
	value, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encode token: %w", err)
	}
	if _, err := b.cfg.Meta.Put(ctx, metaToken+t.ID, value, version); err != nil {
		return fmt.Errorf("store token: %w", err)
	}
	return nil
}

// List returns all tokens by name, without the root token.
func (b *Book) List(ctx context.Context) ([]Token, error) {
	if err := b.Refresh(ctx); err != nil {
		return nil, err
	}
	var all []Token
	for id, h := range *b.known.Load() {
		if id != rootName {
			all = append(all, h.view())
		}
	}
	slices.SortFunc(all, func(a, b Token) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// view is the token with the uses that are not written yet.
func (h *holder) view() Token {
	t := *h.token
	if used := h.used.Load(); used > 0 && time.Unix(used, 0).After(t.LastUsed) {
		t.LastUsed = time.Unix(used, 0).UTC()
	}
	return t
}

// Get returns the token with this id or name.
func (b *Book) Get(ctx context.Context, idOrName string) (Token, error) {
	if err := b.Refresh(ctx); err != nil {
		return Token{}, err
	}
	t := b.find(idOrName)
	if t == nil {
		return Token{}, unknownToken(idOrName)
	}
	return (*b.known.Load())[t.ID].view(), nil
}

func unknownToken(idOrName string) error {
	return task.Errorf(task.CodeNotFound, "there is no token %q: `fenfa token list` shows those that there are", shorten(idOrName)).WithField("id")
}

// Rotate gives a token another secret. The one before counts for the grace period,
// which may be 0. expiresIn 0 leaves the expiry.
func (b *Book) Rotate(ctx context.Context, idOrName string, grace, expiresIn time.Duration) (Token, task.Secret, error) {
	if grace > maxGrace {
		return Token{}, "", task.Errorf(task.CodeInvalidArgument, "grace is %v: want at most %v", grace, maxGrace).WithField("grace")
	}
	now := b.cfg.Clock.Now()
	expires, err := expiry(now, expiresIn)
	if err != nil {
		return Token{}, "", err
	}
	var secret task.Secret
	t, err := b.change(ctx, idOrName, func(t *Token) error {
		if t.expired(now) && expires.IsZero() {
			return task.Errorf(task.CodeFailedPrecondition, "the token %q has expired: give expires_in too, or create another", t.Name).WithField("expires_in")
		}
		_, secret = generate(t.ID)
		hash := hashOf(secret)
		t.PreviousHash, t.PreviousUntil = nil, time.Time{}
		if grace > 0 {
			t.PreviousHash, t.PreviousUntil = t.Hash, now.Add(grace).UTC()
		}
		t.Hash, t.RotatedAt = hash[:], now.UTC()
		if !expires.IsZero() {
			t.ExpiresAt = expires
		}
		return nil
	})
	return t, secret, err
}

// change reads a token, changes it and writes it, against others who do the same.
func (b *Book) change(ctx context.Context, idOrName string, apply func(*Token) error) (Token, error) {
	b.changing.Lock()
	defer b.changing.Unlock()
	if err := b.refresh(ctx); err != nil {
		return Token{}, err
	}
	found := b.find(idOrName)
	if found == nil {
		return Token{}, unknownToken(idOrName)
	}
	for range changeAttempts {
		value, version, err := b.cfg.Meta.Get(ctx, metaToken+found.ID)
		if err != nil {
			return Token{}, fmt.Errorf("read token: %w", err)
		}
		if version == 0 {
			return Token{}, unknownToken(idOrName)
		}
		t, err := decode(found.ID, value)
		if err != nil {
			return Token{}, err
		}
		if err := apply(t); err != nil {
			return Token{}, err
		}
		err = b.put(ctx, t, version)
		if errors.Is(err, store.ErrVersion) {
			continue
		}
		if err != nil {
			return Token{}, err
		}
		return *t, b.refresh(ctx)
	}
	return Token{}, task.Errorf(task.CodeConflict, "the token %q is being changed by others: try again", found.Name)
}

// Revoke ends a token for good.
func (b *Book) Revoke(ctx context.Context, idOrName string) (Token, error) {
	b.changing.Lock()
	defer b.changing.Unlock()
	if err := b.refresh(ctx); err != nil {
		return Token{}, err
	}
	t := b.find(idOrName)
	if t == nil {
		return Token{}, unknownToken(idOrName)
	}
	for range changeAttempts {
		_, version, err := b.cfg.Meta.Get(ctx, metaToken+t.ID)
		if err != nil {
			return Token{}, fmt.Errorf("read token: %w", err)
		}
		if version == 0 {
			return *t, b.refresh(ctx)
		}
		_, err = b.cfg.Meta.Put(ctx, metaToken+t.ID, nil, version)
		if errors.Is(err, store.ErrVersion) {
			continue // Its last use was written meanwhile.
		}
		if err != nil {
			return Token{}, fmt.Errorf("revoke token: %w", err)
		}
		return *t, b.refresh(ctx)
	}
	return Token{}, task.Errorf(task.CodeConflict, "the token %q is being changed by others: try again", t.Name)
}

// writeUses writes down when tokens were last used, where what is stored is older by
// a step. A token that another changes or revokes in this moment is left to the next
// round.
func (b *Book) writeUses(ctx context.Context) error {
	for id, h := range *b.known.Load() {
		seconds := h.used.Load()
		used := time.Unix(seconds, 0).UTC()
		if id == rootName || seconds == 0 || used.Sub(h.token.LastUsed) < lastUsedStep {
			continue
		}
		value, version, err := b.cfg.Meta.Get(ctx, metaToken+id)
		if err != nil {
			return fmt.Errorf("read token: %w", err)
		}
		if version == 0 {
			continue
		}
		t, err := decode(id, value)
		if err != nil {
			return err
		}
		if used.Sub(t.LastUsed) < lastUsedStep {
			continue // Another node has written its own.
		}
		t.LastUsed = used
		if err := b.put(ctx, t, version); err != nil && !errors.Is(err, store.ErrVersion) {
			return err
		}
	}
	return nil
}
