package rabbitmqtest

import (
	"context"
	"errors"
	"fmt"

	"github.com/fenfa/fenfa/internal/debian"
	"github.com/fenfa/fenfa/internal/rabbitmqserver"
)

// EnvAddress is the address (amqp://...) of servers that tests use instead of
// private ones.
const EnvAddress = "FENFA_TEST_RABBITMQ"

// ErrMissing says that the server is not installed and cannot be.
var ErrMissing = errors.New("RabbitMQ is not installed: install the package rabbitmq-server, or set " + EnvAddress + " to the address of a server")

// Start installs the server if it is missing and that is allowed, and starts
// servers. It returns when all are up.
func Start(ctx context.Context, cfg rabbitmqserver.Config) (*rabbitmqserver.Cluster, error) {
	if _, ok := rabbitmqserver.Find(); !ok {
		if !debian.Allowed() {
			return nil, ErrMissing
		}
		if err := debian.Install(ctx, "rabbitmq-server"); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMissing, err)
		}
	}
	c, err := rabbitmqserver.Start(ctx, cfg)
	if errors.Is(err, rabbitmqserver.ErrMissing) {
		return nil, ErrMissing
	}
	return c, err
}
