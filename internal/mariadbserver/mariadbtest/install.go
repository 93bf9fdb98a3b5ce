package mariadbtest

import (
	"context"
	"errors"
	"fmt"

	"github.com/fenfa/fenfa/internal/debian"
	"github.com/fenfa/fenfa/internal/mariadbserver"
)

// EnvAddress is the address (mysql://user:password@host:port/database) of a server
// on which tests may make databases of their own, instead of private ones. What
// stands behind it need not be MariaDB.
const EnvAddress = "FENFA_TEST_MYSQL"

// ErrMissing says that the server is not installed and cannot be.
var ErrMissing = errors.New("MariaDB is not installed: install the package mariadb-server, or set " + EnvAddress + " to the address of a server")

// Start installs the server if it is missing and that is allowed, and starts one.
// It returns when the server is up.
func Start(ctx context.Context, cfg mariadbserver.Config) (*mariadbserver.Server, error) {
	if _, ok := mariadbserver.Find(); !ok {
		if !debian.Allowed() {
			return nil, ErrMissing
		}
		if err := debian.Install(ctx, "mariadb-server"); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMissing, err)
		}
	}
	s, err := mariadbserver.Start(ctx, cfg)
	if errors.Is(err, mariadbserver.ErrMissing) {
		return nil, ErrMissing
	}
	return s, err
}
