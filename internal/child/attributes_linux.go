package child

import "syscall"

// Attributes puts a child in a group of its own and lets it die with the
// thread that started it, which is to wait for it too.
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
