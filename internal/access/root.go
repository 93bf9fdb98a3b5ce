package access

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fenfa/fenfa/internal/task"
)

// rootName is the name of the token of auth.root_token_file.
const rootName = "root"

// maxRootFile is more than any token takes, in bytes.
const maxRootFile = 1 << 10

// readRoot returns the hash of the token in the file.
func readRoot(name string) ([]byte, error) {
	f, err := os.Open(name) //nolint:gosec // The file is whichever the operator names.
	if err != nil {
		return nil, fmt.Errorf("read root token: %w", err)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxRootFile))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read root token: %w", err)
	}
	secret := task.Secret(string(bytes.TrimSpace(content)))
	if _, ok := idOf(secret); !ok {
		// What is there is not repeated: it may be a secret of something else.
		return nil, task.Errorf(task.CodeFailedPrecondition, "%s holds no token: write one with `fenfa token generate`", name).WithField("auth.root_token_file")
	}
	hash := hashOf(secret)
	return hash[:], nil
}

// rootToken is the token that is in no book.
func rootToken(hash []byte) *Token {
	if len(hash) != sha256.Size {
		return nil
	}
	return &Token{ID: rootName, Name: rootName, Scopes: []string{"*:" + string(Admin)}, Hash: hash}
}
