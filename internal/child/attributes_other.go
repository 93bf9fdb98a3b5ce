//go:build unix && !linux

package child

import "syscall"

// attributes puts the child in a group of its own.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
