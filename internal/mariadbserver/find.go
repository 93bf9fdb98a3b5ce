package mariadbserver

import (
	"errors"
	"os"
	"os/exec"
)

// ErrMissing says that the server is not installed.
var ErrMissing = errors.New("MariaDB is not installed: install the package mariadb-server")

// Programs are those that a server needs.
type Programs struct {
	Server  string // mariadbd
	Install string // mariadb-install-db
}

// Find returns the programs; ok is false when the server is not installed.
func Find() (p Programs, ok bool) {
	p.Server, ok = program("mariadbd", "/usr/sbin", "/usr/libexec", "/opt/homebrew/bin", "/usr/local/bin")
	if !ok {
		return Programs{}, false
	}
	p.Install, ok = program("mariadb-install-db", "/usr/bin", "/usr/libexec", "/opt/homebrew/bin", "/usr/local/bin")
	if !ok {
		return Programs{}, false
	}
	return p, true
}

// program finds one in the PATH, or where distributions put it.
func program(name string, dirs ...string) (string, bool) {
	if path, err := exec.LookPath(name); err == nil {
		return path, true
	}
	for _, dir := range dirs {
		path := dir + "/" + name
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, true
		}
	}
	return "", false
}
