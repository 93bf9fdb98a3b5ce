//go:build unix && !linux

package child

import "syscall"

// Attributes puts a child in a group of its own.
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
