package child

import "syscall"

// attributes puts the child in a group of its own and lets it die with its
// parent.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
