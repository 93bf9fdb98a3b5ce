package access

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Bounds of tokens.
const (
	maxName   = 64 // bytes
	minExpiry = time.Second
	maxExpiry = 100 * 365 * 24 * time.Hour
	maxGrace  = 720 * time.Hour
)

// DefaultGrace is how long the secret before a rotation goes on to count.
const DefaultGrace = time.Hour

// metaToken prefixes the names under which tokens are kept.
const metaToken = "token/"

// Token is what the book knows of a token. It holds no secret.
type Token struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Scopes    []string  `json:"scopes"`
	Limits    Limits    `json:"limits,omitzero"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: never
	LastUsed  time.Time `json:"last_used,omitzero"`  // to within lastUsedStep
	RotatedAt time.Time `json:"rotated_at,omitzero"`

	Hash          []byte    `json:"hash"`
	PreviousHash  []byte    `json:"previous_hash,omitempty"`
	PreviousUntil time.Time `json:"previous_until,omitzero"`
}

// Limits bounds what one token may ask of a node. Zero fields bound nothing.
type Limits struct {
	Requests float64       `json:"requests,omitzero"` // a second
	Tasks    float64       `json:"tasks,omitzero"`    // submitted a second
	Bytes    float64       `json:"bytes,omitzero"`    // of payload, submitted a second
	Burst    time.Duration `json:"burst,omitzero"`    // for how long what was not used adds up
}

// Bounds of limits.
const (
	minRate  = 0.001
	maxRate  = 1e12
	minBurst = time.Second
	maxBurst = time.Hour
)

// fill applies the default of the burst and checks the rest.
func (l *Limits) fill() error {
	for field, rate := range map[string]float64{"requests": l.Requests, "tasks": l.Tasks, "bytes": l.Bytes} {
		if rate != 0 && !(rate >= minRate && rate <= maxRate) { // Also what is no number.
			return task.Errorf(task.CodeInvalidArgument, "limits.%s is %v: want 0 for no limit, or %v to %v a second", field, rate, minRate, maxRate).WithField("limits." + field)
		}
	}
	if l.Requests == 0 && l.Tasks == 0 && l.Bytes == 0 {
		if l.Burst != 0 {
			return task.Errorf(task.CodeInvalidArgument, "limits.burst is for limits, of which there are none").WithField("limits.burst")
		}
		return nil
	}
	if l.Burst == 0 {
		l.Burst = minBurst
	}
	if l.Burst < minBurst || l.Burst > maxBurst {
		return task.Errorf(task.CodeInvalidArgument, "limits.burst is %v: want %v to %v", l.Burst, minBurst, maxBurst).WithField("limits.burst")
	}
	return nil
}

func checkName(name string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	if name == "" || len(name) > maxName || strings.Trim(name, letters) != "" || strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(letters, r) }) {
		return task.Errorf(task.CodeInvalidArgument, "name %q cannot be one: want 1 to %d letters, digits and . _ -", shorten(name), maxName).WithField("name")
	}
	if name == rootName {
		return task.Errorf(task.CodeInvalidArgument, "the name %q belongs to the token of auth.root_token_file: use another", name).WithField("name")
	}
	return nil
}

// expiry counts a lifetime from now on; none is no expiry.
func expiry(now time.Time, in time.Duration) (time.Time, error) {
	if in == 0 {
		return time.Time{}, nil
	}
	if in < minExpiry || in > maxExpiry {
		return time.Time{}, task.Errorf(task.CodeInvalidArgument, "expires_in is %v: want at least %v, or none", in, minExpiry).WithField("expires_in")
	}
	return now.Add(in).UTC(), nil
}

// expired reports whether the token counts no more.
func (t *Token) expired(now time.Time) bool { return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) }

// accepts reports whether a secret with this hash counts now.
func (t *Token) accepts(hash []byte, now time.Time) bool {
	current := same(t.Hash, hash)
	previous := same(t.PreviousHash, hash) && now.Before(t.PreviousUntil)
	return (current || previous) && !t.expired(now)
}

func decode(name string, value []byte) (*Token, error) {
	t := &Token{}
	if err := json.Unmarshal(value, t); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return t, nil
}
