package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Times of the book.
const (
	// DefaultRefresh is how often a node reads the tokens again, and looks at streams.
	DefaultRefresh = 2 * time.Second
	// lastUsedStep is how exact the last use of a token is.
	lastUsedStep = 10 * time.Minute
)

// Config is what a Book needs.
type Config struct {
	Meta store.Meta
	// Required: callers must show a token. Else every caller may do everything.
	Required bool
	RootFile string // file with the root token; empty: there is none

	Clock      clock.Clock           // default: the machine's
	Logger     *slog.Logger          // default: none
	Registerer prometheus.Registerer // default: no metrics
	Refresh    time.Duration         // default DefaultRefresh
}

// Book knows all tokens of a cluster.
type Book struct {
	cfg     Config
	metrics *metrics
	known   atomic.Pointer[map[string]*holder] // by id; replaced, never changed

	changing sync.Mutex // one change or refresh at a time

	mu       sync.Mutex
	sessions map[*Session]struct{}
	timer    clock.Timer
	closed   bool
	running  sync.WaitGroup  // the refresh that runs now
	ctx      context.Context //nolint:containedctx // It is the signal of Close.
	stop     context.CancelFunc
}

// holder is a token as the book knows it, with what a node counts for it.
type holder struct {
	token  *Token
	rights Rights
	meter  *meter
	used   *atomic.Int64 // Unix seconds of the last use on this node
}

// Open reads the tokens and goes on to read them until Close.
func Open(ctx context.Context, cfg Config) (*Book, error) {
	if cfg.Meta == nil {
		return nil, errors.New("open token book: a meta is needed")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Refresh == 0 {
		cfg.Refresh = DefaultRefresh
	}
	b := &Book{cfg: cfg, metrics: newMetrics(), sessions: map[*Session]struct{}{}}
	b.known.Store(&map[string]*holder{})
	if cfg.Registerer != nil {
		if err := b.metrics.register(cfg.Registerer); err != nil {
			return nil, fmt.Errorf("register metrics of tokens: %w", err)
		}
	}
	if cfg.RootFile != "" {
		if _, err := readRoot(cfg.RootFile); err != nil {
			return nil, err
		}
	}
	if err := b.Refresh(ctx); err != nil {
		return nil, err
	}
	if cfg.Required && len(*b.known.Load()) == 0 {
		cfg.Logger.Warn("tokens are required and there are none: set auth.root_token_file")
	}
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.arm()
	return b, nil
}

// arm sets the timer of the next refresh.
func (b *Book) arm() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.timer = b.cfg.Clock.AfterFunc(b.cfg.Refresh, func() {
		b.mu.Lock()
		if b.closed {
			b.mu.Unlock()
			return
		}
		b.running.Add(1)
		b.mu.Unlock()
		defer b.running.Done()
		b.tend()
		b.arm()
	})
}

// tend is one round of the book: what is known, what was used, who may stay.
func (b *Book) tend() {
	if err := b.Refresh(b.ctx); err != nil && b.ctx.Err() == nil {
		b.cfg.Logger.Warn("tokens were not read again: those known before count", "error", err)
	}
	if err := b.writeUses(b.ctx); err != nil && b.ctx.Err() == nil {
		b.cfg.Logger.Warn("the last use of a token was not written", "error", err)
	}
}

// Close ends the refreshing. Sessions stay as they are.
func (b *Book) Close() {
	b.mu.Lock()
	b.closed = true
	b.timer.Stop()
	b.mu.Unlock()
	b.stop()
	b.running.Wait()
}

// Required reports whether callers must show a token.
func (b *Book) Required() bool { return b.cfg.Required }

// Refresh reads the tokens again, and ends sessions whose token counts no more.
func (b *Book) Refresh(ctx context.Context) error {
	b.changing.Lock()
	defer b.changing.Unlock()
	return b.refresh(ctx)
}

// refresh is Refresh for those who hold the lock of changes.
func (b *Book) refresh(ctx context.Context) error {
	entries, err := b.cfg.Meta.List(ctx, metaToken)
	if err != nil {
		return fmt.Errorf("read tokens: %w", err)
	}
	before := *b.known.Load()
	next := make(map[string]*holder, len(entries)+1)
	for _, e := range entries {
		t, err := decode(e.Name, e.Value)
		if err != nil {
			return err
		}
		next[t.ID] = b.hold(t, before[t.ID])
	}
	if root := b.root(before[rootName]); root != nil {
		next[rootName] = root
	}
	b.known.Store(&next)
	b.metrics.tokens.Set(float64(len(entries)))
	b.endSessions()
	return nil
}

// root reads the root token's file. One that cannot be read leaves the token as it
// was: a file is replaced in two steps by many tools.
func (b *Book) root(before *holder) *holder {
	if b.cfg.RootFile == "" {
		return nil
	}
	hash, err := readRoot(b.cfg.RootFile)
	if err != nil {
		b.cfg.Logger.Warn("the file of the root token cannot be used: the one before counts", "error", err)
		return before
	}
	return b.hold(rootToken(hash), before)
}

// hold keeps what this node counts for a token.
func (b *Book) hold(t *Token, before *holder) *holder {
	h := &holder{token: t}
	scopes, err := ParseScopes(t.Scopes)
	if err != nil {
		// A later version may know more actions: what is not understood allows nothing.
		b.cfg.Logger.Warn("a token has a scope that this version does not know: it allows nothing here", "token", t.Name, "error", err)
	}
	h.rights = RightsOf(scopes)
	if before == nil {
		h.meter, h.used = newMeter(t.Limits), &atomic.Int64{}
		return h
	}
	h.meter, h.used = before.meter, before.used
	if before.token.Limits != t.Limits {
		h.meter = newMeter(t.Limits)
	}
	return h
}

// Authenticate says who shows the secret. Its error has CodeUnauthenticated.
func (b *Book) Authenticate(secret task.Secret) (*Caller, error) {
	id, ok := idOf(secret)
	if !ok {
		return nil, b.refuse("malformed", "what was shown is no token: one begins with %q", mark)
	}
	hash, now := hashOf(secret), b.cfg.Clock.Now()
	known := *b.known.Load()
	h := known[id]
	if root := known[rootName]; h == nil && root != nil && same(root.token.Hash, hash[:]) {
		h = root
	}
	if h == nil {
		return nil, b.refuse("unknown", "the token is not known: it was revoked, or is of another cluster")
	}
	if !h.token.accepts(hash[:], now) {
		if h.token.expired(now) {
			return nil, b.refuse("expired", "the token %q has expired: rotate it with `fenfa token rotate`", h.token.Name)
		}
		return nil, b.refuse("unknown", "the token %q has another secret now: it was rotated", id)
	}
	if seconds := now.Unix(); h.used.Load() < seconds-int64(lastUsedStep/time.Second) {
		h.used.Store(seconds)
	}
	return &Caller{book: b, holder: h, hash: hash, ID: h.token.ID, Name: h.token.Name}, nil
}

func (b *Book) refuse(reason, format string, args ...any) error {
	b.metrics.refused.WithLabelValues(reason).Inc()
	return task.Errorf(task.CodeUnauthenticated, format, args...)
}

// Missing is the answer to a caller who shows no token.
func (b *Book) Missing() error {
	return b.refuse("missing", "a token is needed: send the header %q", "Authorization: Bearer TOKEN")
}

// counts reports whether what a session showed still counts.
func (b *Book) counts(s *Session) error {
	h := (*b.known.Load())[s.caller.ID]
	if h == nil {
		return b.refuse("revoked", "the token %q was revoked", s.caller.Name)
	}
	if !h.token.accepts(s.caller.hash[:], b.cfg.Clock.Now()) {
		return b.refuse("expired", "the token %q has expired or was rotated", s.caller.Name)
	}
	return nil
}

// endSessions ends those whose token counts no more.
func (b *Book) endSessions() {
	b.mu.Lock()
	ended := map[*Session]error{}
	for s := range b.sessions {
		if err := b.counts(s); err != nil {
			ended[s] = err
			delete(b.sessions, s)
		}
	}
	b.mu.Unlock()
	for s, err := range ended {
		s.end(err)
	}
}
