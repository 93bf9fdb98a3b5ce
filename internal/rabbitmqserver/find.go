package rabbitmqserver

import (
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
)

// ErrMissing says that the server is not installed.
var ErrMissing = errors.New("RabbitMQ is not installed: install the package rabbitmq-server")

// places are where the server's own scripts may be; those in the PATH of a
// distribution insist on a user and its directories.
func places() []string {
	return []string{"/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin", "/opt/rabbitmq/sbin", "/usr/local/opt/rabbitmq/sbin", "/opt/homebrew/opt/rabbitmq/sbin"}
}

// Find returns the directory of the server's scripts; ok is false when it is not
// installed.
func Find() (dir string, ok bool) {
	if _, err := exec.LookPath("epmd"); err != nil {
		return "", false
	}
	for _, pattern := range places() {
		found, err := filepath.Glob(filepath.Join(pattern, "rabbitmq-server"))
		if err == nil && len(found) > 0 {
			return filepath.Dir(slices.Max(found)), true
		}
	}
	return "", false
}
