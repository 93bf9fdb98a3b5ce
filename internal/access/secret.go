package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"strings"
)

// A token as its owner holds it is "fenfa_ID_BITS": the beginning lets scanners of
// sources and logs find it, and a double click takes all of it.
const (
	mark     = "fenfa_"
	idBytes  = 8
	bitBytes = 32
)

// encoding is base32 in lower case. It is made anew each time because a package has
// no variables; it is small.
func encoding() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}

// Secret is the plain form of a token. It shows itself in no log, text or JSON;
// Reveal returns it.
type Secret struct{ plain string }

// NewSecret takes the plain form of a token as a caller has shown it.
func NewSecret(plain string) Secret { return Secret{plain: plain} }

// Generate makes a token of its own id.
func Generate() (id string, secret Secret) { return generate("") }

// generate makes a token; an empty id asks for a new one.
func generate(id string) (string, Secret) {
	random := make([]byte, idBytes+bitBytes)
	_, _ = rand.Read(random) // It never fails.
	if id == "" {
		id = encoding().EncodeToString(random[:idBytes])
	}
	return id, Secret{plain: mark + id + "_" + encoding().EncodeToString(random[idBytes:])}
}

// Reveal returns the token itself, for the one place that hands it out.
func (s Secret) Reveal() string { return s.plain }

// redacted is what a secret shows of itself.
const redacted = "[redacted]"

// Format implements fmt.Formatter: no verb shows the secret.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String hides the secret.
func (s Secret) String() string { return redacted }

// MarshalText hides the secret, also in JSON and in logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// id returns the id that the secret names, and whether it has the form of one.
func (s Secret) id() (string, bool) {
	rest, ok := strings.CutPrefix(s.plain, mark)
	if !ok {
		return "", false
	}
	id, bits, ok := strings.Cut(rest, "_")
	return id, ok && len(id) == encoding().EncodedLen(idBytes) && len(bits) == encoding().EncodedLen(bitBytes)
}

// hash is what the book keeps.
func (s Secret) hash() [sha256.Size]byte { return sha256.Sum256([]byte(s.plain)) }

// same compares hashes in constant time. No hash is the same as none.
func same(a, b []byte) bool { return len(a) == sha256.Size && subtle.ConstantTimeCompare(a, b) == 1 }
