package rabbitmq

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/fenfa/fenfa/internal/broker/rabbitmq/rabbitmqtest"
	"github.com/fenfa/fenfa/internal/rabbitmqserver"
)

// shared is the server of all tests.
var shared rabbitmqtest.Shared

func TestMain(m *testing.M) {
	code := shared.Run(m, rabbitmqserver.Config{})
	if err := goleak.Find(); err != nil && code == 0 {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		code = 1
	}
	os.Exit(code)
}
