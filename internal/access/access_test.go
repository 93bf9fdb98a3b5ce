package access

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/storefake"
	"github.com/fenfa/fenfa/internal/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newMeta() store.Meta { return storefake.New(storefake.Config{AutoSync: true}).Meta() }

func open(t *testing.T, cfg Config) *Book {
	t.Helper()
	cfg.Required = true
	if cfg.Meta == nil {
		cfg.Meta = newMeta()
	}
	b, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func create(t *testing.T, b *Book, spec Spec) (Token, task.Secret) {
	t.Helper()
	if spec.Scopes == nil {
		spec.Scopes = []string{"orders:submit"}
	}
	token, secret, err := b.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return token, secret
}

// unknown fails the test unless the secret does not count.
func unknown(t *testing.T, b *Book, secret task.Secret, says string) {
	t.Helper()
	if _, err := b.Authenticate(secret); task.CodeOf(err) != task.CodeUnauthenticated || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want one that says %q", err, says)
	}
}

func TestScopes(t *testing.T) {
	for text, want := range map[string]string{
		"orders:submit": "orders:submit", "orders-*:submit,read": "orders-*:submit,read", "*:admin": "*:admin",
		"a:b:lock": "a:b:lock", "q:submit, submit": "q:submit", "*:metrics,state-read": "*:metrics,state-read",
		"orders": "", ":read": "", "o*s:read": "", "**:read": "", "orders:": "", "orders:reed": "", "orders:admin": "", "orders*:metrics": "",
		strings.Repeat("k", 513) + ":state": "",
	} {
		s, err := ParseScope(text)
		if want == "" {
			if task.CodeOf(err) != task.CodeInvalidArgument {
				t.Errorf("%.20q: %v", text, err)
			}
			continue
		}
		if err != nil || s.String() != want {
			t.Errorf("%q: %q, %v", text, s, err)
		}
	}
	if _, err := ParseScope("q:reed"); err == nil || !strings.Contains(err.Error(), "did you mean read?") {
		t.Errorf("got %v", err)
	}
	for _, texts := range [][]string{nil, make([]string, 65), {"q:read", "bad"}} {
		if _, err := ParseScopes(texts); task.CodeOf(err) != task.CodeInvalidArgument {
			t.Errorf("%d scopes: %v", len(texts), err)
		}
	}
}

func TestRights(t *testing.T) {
	scopes, err := ParseScopes([]string{"orders-*:submit,read", "mail:submit", "sku-*:state", "*:lock"})
	if err != nil {
		t.Fatal(err)
	}
	r := RightsOf(scopes)
	for _, c := range []struct {
		action Action
		name   string
		may    bool
		covers bool
	}{
		{Submit, "orders-eu", true, true},
		{Submit, "orders-", true, true},
		{Submit, "orders", false, false},
		{Submit, "mail", true, false},
		{Submit, "mail2", false, false},
		{Submit, "", false, false},
		{Read, "mail", false, false},
		{State, "sku-1", true, true},
		{StateRead, "sku-1", true, true},
		{StateRead, "other", false, false},
		{Lock, "anything:at/all", true, true},
		{Lock, "", true, true},
		{Admin, "", false, false},
	} {
		if r.May(c.action, c.name) != c.may || r.Covers(c.action, c.name) != c.covers {
			t.Errorf("%s of %q: may %v, covers %v", c.action, c.name, r.May(c.action, c.name), r.Covers(c.action, c.name))
		}
	}
	if !r.Some(Submit) || r.Some(Work) || Rights(nil).Some(Submit) || Rights(nil).May(Submit, "x") {
		t.Error("some rights are wrong")
	}
	admin := RightsOf([]Scope{{Pattern: "*", Actions: []Action{Admin}}})
	for _, a := range Actions() {
		if !admin.Covers(a, "") {
			t.Errorf("an admin may not %s", a)
		}
	}
}

func TestATokenIsKnownByItsSecretOnly(t *testing.T) {
	meta := newMeta()
	b := open(t, Config{Meta: meta})
	defer b.Close()
	token, secret := create(t, b, Spec{Name: "ci", By: "root"})
	c, err := b.Authenticate(secret)
	if err != nil || c.Name != "ci" || c.ID != token.ID || !c.May(Submit, "orders") || c.May(Read, "orders") {
		t.Fatalf("got %+v, %v", c, err)
	}
	plain := secret.Reveal()
	for text, says := range map[string]string{
		"": "no token", "x": "no token", plain[1:]: "no token", plain + "a": "no token", plain[:len(plain)-1]: "no token",
		plain[:len(plain)-1] + string('a'+(plain[len(plain)-1]-'a'+1)%2): "another secret",
		"fenfa_aaaaaaaaaaaaa" + plain[19:]:                               "not known",
	} {
		unknown(t, b, task.Secret(text), says)
	}
	entries, err := meta.List(t.Context(), "")
	if err != nil || len(entries) != 1 {
		t.Fatalf("stored %v, %v", entries, err)
	}
	if bits := plain[strings.LastIndex(plain, "_")+1:]; strings.Contains(string(entries[0].Value), bits) {
		t.Error("the secret is stored")
	}
}

func TestASecretShowsNowhere(t *testing.T) {
	_, secret := Generate()
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("a", "secret", secret, "in", struct{ S task.Secret }{secret})
	slog.New(slog.NewTextHandler(&log, nil)).Info("a", "secret", secret, "pointer", &secret)
	text, err := json.Marshal(map[string]any{"s": secret, "p": &secret})
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(text) + fmt.Sprintf("%v %+v %#v %s %q %x %d %v", secret, secret, secret, secret, secret, secret, secret, struct{ S *task.Secret }{&secret}) +
		fmt.Sprint(errors.New(secret.String()))
	bits := secret.Reveal()[20:]
	if strings.Contains(all, bits) || strings.Contains(all, fmt.Sprintf("%x", bits)) || !strings.Contains(all, task.Secret("").String()) {
		t.Errorf("it shows in %s", all)
	}
}

func TestNewTokensAreChecked(t *testing.T) {
	b := open(t, Config{})
	defer b.Close()
	create(t, b, Spec{Name: "ci"})
	for name, c := range map[string]struct {
		spec Spec
		code task.Code
	}{
		"taken":          {Spec{Name: "ci", Scopes: []string{"q:read"}}, task.CodeAlreadyExists},
		"no name":        {Spec{Scopes: []string{"q:read"}}, task.CodeInvalidArgument},
		"odd name":       {Spec{Name: "a b", Scopes: []string{"q:read"}}, task.CodeInvalidArgument},
		"long name":      {Spec{Name: strings.Repeat("a", 65), Scopes: []string{"q:read"}}, task.CodeInvalidArgument},
		"root":           {Spec{Name: "root", Scopes: []string{"q:read"}}, task.CodeInvalidArgument},
		"no scope":       {Spec{Name: "a"}, task.CodeInvalidArgument},
		"short life":     {Spec{Name: "a", Scopes: []string{"q:read"}, ExpiresIn: time.Millisecond}, task.CodeInvalidArgument},
		"negative rate":  {Spec{Name: "a", Scopes: []string{"q:read"}, Limits: Limits{Tasks: -1}}, task.CodeInvalidArgument},
		"burst alone":    {Spec{Name: "a", Scopes: []string{"q:read"}, Limits: Limits{Burst: time.Second}}, task.CodeInvalidArgument},
		"burst too long": {Spec{Name: "a", Scopes: []string{"q:read"}, Limits: Limits{Tasks: 1, Burst: 2 * time.Hour}}, task.CodeInvalidArgument},
	} {
		if _, _, err := b.Create(t.Context(), c.spec); task.CodeOf(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, call := range []func() error{
		func() error { _, err := b.Get(t.Context(), "nobody"); return err },
		func() error { _, err := b.Revoke(t.Context(), "nobody"); return err },
		func() error { _, _, err := b.Rotate(t.Context(), "nobody", 0, 0); return err },
	} {
		if err := call(); task.CodeOf(err) != task.CodeNotFound {
			t.Errorf("got %v", err)
		}
	}
}

func TestExpiryAndRotationEndSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const refresh = time.Minute
		b := open(t, Config{Refresh: refresh})
		defer b.Close()
		_, first := create(t, b, Spec{Name: "ci", ExpiresIn: 10 * time.Hour})
		ctx, done := authenticated(t, b, first).Begin(t.Context())
		defer done()
		_, second, err := b.Rotate(t.Context(), "ci", time.Hour, 0)
		if err != nil {
			t.Fatal(err)
		}
		other, end := authenticated(t, b, second).Begin(t.Context())
		defer end()
		pass(time.Hour - time.Nanosecond)
		authenticated(t, b, first)
		if ctx.Err() != nil {
			t.Error("the session ended within the grace period")
		}
		pass(time.Nanosecond)
		unknown(t, b, first, "rotated")
		pass(refresh)
		if task.CodeOf(context.Cause(ctx)) != task.CodeUnauthenticated || other.Err() != nil {
			t.Errorf("after the grace period: %v, %v", context.Cause(ctx), other.Err())
		}
		pass(9*time.Hour - refresh)
		unknown(t, b, second, "expired")
		pass(refresh)
		if task.CodeOf(context.Cause(other)) != task.CodeUnauthenticated {
			t.Errorf("after the expiry: %v", context.Cause(other))
		}
		if _, _, err := b.Rotate(t.Context(), "ci", 0, 0); task.CodeOf(err) != task.CodeFailedPrecondition {
			t.Errorf("an expired token was rotated: %v", err)
		}
		_, third, err := b.Rotate(t.Context(), "ci", 0, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		authenticated(t, b, third)
		_, fourth, err := b.Rotate(t.Context(), "ci", 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		unknown(t, b, third, "rotated")
		authenticated(t, b, fourth)
	})
}

func authenticated(t *testing.T, b *Book, secret task.Secret) *Caller {
	t.Helper()
	c, err := b.Authenticate(secret)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestNodesShareTokens has two books over one store, as two nodes have.
func TestNodesShareTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		meta := newMeta()
		one, two := open(t, Config{Meta: meta}), open(t, Config{Meta: meta})
		defer one.Close()
		defer two.Close()
		_, secret := create(t, one, Spec{Name: "ci"})
		pass(DefaultRefresh + time.Second)
		ctx, done := authenticated(t, two, secret).Begin(t.Context())
		defer done()
		if _, _, err := two.Create(t.Context(), Spec{Name: "ci", Scopes: []string{"q:read"}}); task.CodeOf(err) != task.CodeAlreadyExists {
			t.Errorf("one name twice: %v", err)
		}
		if _, err := one.Revoke(t.Context(), "ci"); err != nil {
			t.Fatal(err)
		}
		unknown(t, one, secret, "revoked")
		pass(DefaultRefresh + time.Second)
		unknown(t, two, secret, "revoked")
		if context.Cause(ctx) == nil || !strings.Contains(context.Cause(ctx).Error(), "revoked") {
			t.Errorf("the session goes on: %v", context.Cause(ctx))
		}
		all, err := two.List(t.Context())
		if err != nil || len(all) != 0 {
			t.Errorf("listed %v, %v", all, err)
		}
	})
}

func TestTheLastUseIsWrittenOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		meta := &countedMeta{Meta: newMeta()}
		b := open(t, Config{Meta: meta, Refresh: 30 * time.Second})
		defer b.Close()
		token, secret := create(t, b, Spec{Name: "ci"})
		pass(time.Minute)
		if all, err := b.List(t.Context()); err != nil || len(all) != 1 || !all[0].LastUsed.IsZero() {
			t.Errorf("nobody has used it yet: %+v, %v", all, err)
		}
		puts := meta.puts.Load()
		began := time.Now()
		for range 30 { // Half an hour.
			authenticated(t, b, secret)
			pass(time.Minute)
		}
		if n := meta.puts.Load() - puts; n < 2 || n > 4 {
			t.Errorf("it was written %d times in half an hour", n)
		}
		stored, err := meta.List(t.Context(), metaToken)
		if err != nil {
			t.Fatal(err)
		}
		now, err := decode("", stored[0].Value)
		if err != nil || now.LastUsed.Before(began.Add(15*time.Minute)) || now.ID != token.ID || string(now.Hash) != string(token.Hash) {
			t.Errorf("stored %+v, %v", now, err)
		}
	})
}

// countedMeta counts changes.
type countedMeta struct {
	store.Meta
	puts atomic.Int32
	fail atomic.Pointer[error]
}

func (m *countedMeta) Put(ctx context.Context, name string, value []byte, expected uint64) (uint64, error) {
	m.puts.Add(1)
	return m.Meta.Put(ctx, name, value, expected)
}

func (m *countedMeta) List(ctx context.Context, prefix string) ([]store.Entry, error) {
	if fail := m.fail.Load(); fail != nil {
		return nil, *fail
	}
	return m.Meta.List(ctx, prefix)
}

func TestAStoreThatIsAwayLeavesTokensAsTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		meta := &countedMeta{Meta: newMeta()}
		b := open(t, Config{Meta: meta})
		defer b.Close()
		_, secret := create(t, b, Spec{Name: "ci"})
		synctest.Wait()
		meta.fail.Store(new(errors.New("away")))
		pass(time.Minute)
		authenticated(t, b, secret)
		if _, _, err := b.Create(t.Context(), Spec{Name: "b", Scopes: []string{"q:read"}}); !errors.Is(err, *meta.fail.Load()) {
			t.Errorf("got %v", err)
		}
	})
}

func TestTheRootTokenIsAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "root")
		if _, err := Open(t.Context(), Config{Meta: newMeta(), RootFile: name}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("without the file: %v", err)
		}
		write := func(text string) {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("pa55word")
		if _, err := Open(t.Context(), Config{Meta: newMeta(), RootFile: name}); task.CodeOf(err) != task.CodeFailedPrecondition || strings.Contains(err.Error(), "pa55word") {
			t.Errorf("with something else in it: %v", err)
		}
		_, first := Generate()
		_, second := Generate()
		write(first.Reveal() + "\n")
		b := open(t, Config{RootFile: name})
		defer b.Close()
		c := authenticated(t, b, first)
		if c.Name != "root" || !c.Covers(Admin, "") {
			t.Errorf("got %+v", c)
		}
		write("") // Halfway through being replaced.
		pass(DefaultRefresh)
		authenticated(t, b, first)
		write(second.Reveal())
		pass(DefaultRefresh)
		unknown(t, b, first, "not known")
		authenticated(t, b, second)
		if _, err := b.Revoke(t.Context(), "root"); task.CodeOf(err) != task.CodeNotFound {
			t.Errorf("the root token was revoked: %v", err)
		}
	})
}

func TestAScopeOfALaterVersionAllowsNothing(t *testing.T) {
	meta := newMeta()
	id, secret := Generate()
	hash := hashOf(secret)
	value, err := json.Marshal(Token{ID: id, Name: "new", Scopes: []string{"*:admin", "*:fly"}, Hash: hash[:]})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := meta.Put(t.Context(), metaToken+id, value, 0); err != nil {
		t.Fatal(err)
	}
	b := open(t, Config{Meta: meta})
	defer b.Close()
	if c := authenticated(t, b, secret); c.Some(Admin) || c.Some(Read) {
		t.Error("it allows something")
	}
}

func TestABucketKeepsItsRate(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	b := newBucket(10, 2*time.Second) // 20 at once, then 10 a second.
	for i := range 20 {
		if wait := b.take(now, 1); wait != 0 {
			t.Fatalf("number %d waits %v", i, wait)
		}
	}
	if wait := b.take(now, 1); wait != 100*time.Millisecond {
		t.Errorf("one more waits %v", wait)
	}
	now = now.Add(100 * time.Millisecond)
	if b.take(now, 1) != 0 || b.take(now, 1) == 0 {
		t.Error("after the wait there is room for exactly one")
	}
	now = now.Add(time.Hour)
	if b.take(now, 1000) != 0 {
		t.Error("more than a burst is not let through a bucket that is full")
	}
	if wait := b.take(now, 1); wait != 98100*time.Millisecond {
		t.Errorf("it is not paid for: %v", wait)
	}
	b.giveBack(1000)
	if b.take(now, 20) != 0 {
		t.Error("what was given back is not there")
	}
	if (*bucket)(nil).take(now, 1<<30) != 0 || newBucket(0, 0) != nil {
		t.Error("no rate limits something")
	}
}

func TestLimitsChangeWithTheToken(t *testing.T) {
	b := open(t, Config{})
	defer b.Close()
	_, secret := create(t, b, Spec{Name: "ci", Limits: Limits{Tasks: 0.001, Bytes: 1}})
	c := authenticated(t, b, secret)
	if !c.Limited() || c.TakeTasks(2, 0) != nil {
		t.Error("the first tasks are refused")
	}
	// Another call of the same token, and a refresh, change nothing about what is used up.
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := authenticated(t, b, secret).TakeTasks(1, 0)
	var e *task.Error
	if !errors.As(err, &e) || e.Code != task.CodeResourceExhausted || e.RetryAfter <= 0 {
		t.Errorf("got %v", err)
	}
	if Anyone("").TakeTasks(1<<30, 1<<30) != nil || Anyone("").TakeRequest() != nil {
		t.Error("a caller without a token is limited")
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	book, err := Open(b.Context(), Config{Meta: newMeta(), Required: true, Refresh: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	defer book.Close()
	_, secret, err := book.Create(b.Context(), Spec{Name: "ci", Scopes: []string{"orders-*:submit"}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c, err := book.Authenticate(secret)
		if err != nil || !c.May(Submit, "orders-1") {
			b.Fatal(err)
		}
	}
}

// pass lets the time of the bubble pass, and what is due then be done.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
