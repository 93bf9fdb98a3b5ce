package fenfa

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// WithToken sends an API token with every call.
func WithToken(token string) DialOption {
	return func(c *dialConfig) { c.token, c.tokenFile = NewSecret(token), nil }
}

// WithTokenFile sends the API token in a file with every call. The file is read again
// when it changes, so that a token is rotated without a restart; a call that finds it
// unreadable uses the token before. White space around the token does not count.
func WithTokenFile(name string) DialOption {
	return func(c *dialConfig) { c.token, c.tokenFile = Secret{}, &tokenFile{name: name} }
}

// refused reports whether a code says that the token does not do, and stays so. What
// is in a file may be replaced by one that does.
func (cfg *dialConfig) refused(c Code) bool {
	return cfg.tokenFile == nil && (c == CodeUnauthenticated || c == CodePermissionDenied)
}

// bearer sends a token with every call. A token over plain text is the caller's
// choice: nodes listen on loopback unless told otherwise.
type bearer struct{ token func() (Secret, error) }

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := b.token()
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	return map[string]string{"authorization": "Bearer " + token.Reveal()}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (b bearer) RequireTransportSecurity() bool { return false }

// tokenLook is how often a token's file is looked at, at most.
const tokenLook = time.Second

// maxTokenFile is more than any token takes, in bytes.
const maxTokenFile = 1 << 10

// tokenFile is a token that is read again when its file changes.
type tokenFile struct {
	name string

	mu       sync.Mutex
	lookedAt time.Time
	modified time.Time
	token    Secret
}

// read returns the token as it is now, or the one before where the file cannot be
// read now.
func (f *tokenFile) read() (Secret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.token != (Secret{}) && now.Sub(f.lookedAt) < tokenLook {
		return f.token, nil
	}
	f.lookedAt = now
	token, modified, err := readToken(f.name, f.modified)
	switch {
	case err != nil && f.token == (Secret{}):
		return Secret{}, err
	case err == nil && token != (Secret{}):
		f.token, f.modified = token, modified
	}
	return f.token, nil
}

// readToken returns nothing where the file was not modified since it was read.
func readToken(name string, known time.Time) (Secret, time.Time, error) {
	file, err := os.Open(name) //nolint:gosec // The file is whichever the caller names.
	if err != nil {
		return Secret{}, known, fmt.Errorf("read token: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return Secret{}, known, fmt.Errorf("read token: %w", err)
	}
	if info.ModTime().Equal(known) {
		return Secret{}, known, nil
	}
	content, err := io.ReadAll(io.LimitReader(file, maxTokenFile))
	if err != nil {
		return Secret{}, known, fmt.Errorf("read token: %w", err)
	}
	token := strings.TrimSpace(string(content))
	if token == "" || strings.ContainsAny(token, " \t\r\n") {
		return Secret{}, known, fmt.Errorf("read token: %s does not hold one token", name)
	}
	return NewSecret(token), info.ModTime(), nil
}
