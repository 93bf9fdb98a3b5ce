package mysql_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/fenfa/fenfa/internal/mariadbserver"
	"github.com/fenfa/fenfa/internal/mariadbserver/mariadbtest"
)

// server is the one that the tests share.
var server mariadbtest.Shared

// Nobody kills the shared server, so it need not wait for its disk.
func TestMain(m *testing.M) {
	code := server.Run(m, mariadbserver.Config{Settings: []string{"--innodb-flush-method=nosync", "--innodb-flush-log-at-trx-commit=2"}})
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}
