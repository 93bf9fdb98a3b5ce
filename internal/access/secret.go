package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"strings"

	"github.com/fenfa/fenfa/internal/task"
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

// Generate makes a token of its own id.
func Generate() (id string, secret task.Secret) { return generate("") }

// generate makes a token; an empty id asks for a new one.
func generate(id string) (string, task.Secret) {
	random := make([]byte, idBytes+bitBytes)
	_, _ = rand.Read(random) // It never fails.
	if id == "" {
		id = encoding().EncodeToString(random[:idBytes])
	}
	return id, task.Secret(mark + id + "_" + encoding().EncodeToString(random[idBytes:]))
}

// idOf returns the id that the plain form of a token names, and whether it has the form
// of one.
func idOf(s task.Secret) (string, bool) {
	rest, ok := strings.CutPrefix(s.Reveal(), mark)
	if !ok {
		return "", false
	}
	id, bits, ok := strings.Cut(rest, "_")
	return id, ok && len(id) == encoding().EncodedLen(idBytes) && len(bits) == encoding().EncodedLen(bitBytes)
}

// hashOf is what the book keeps of a token.
func hashOf(s task.Secret) [sha256.Size]byte { return sha256.Sum256([]byte(s.Reveal())) }

// same compares hashes in constant time. No hash is the same as none.
func same(a, b []byte) bool { return len(a) == sha256.Size && subtle.ConstantTimeCompare(a, b) == 1 }
