package loopback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// The range lies below the ports that Linux gives to outgoing connections (32768
// and above, see ip_local_port_range in ip(7)), and above those that well-known
// servers use.
const (
	lowestPort = 20_000
	abovePort  = 32_000 // exclusive
)

// Reservation is a set of ports that are its own until it is released, or until
// nothing refers to it any more and the garbage collector finds it.
type Reservation struct {
	ports []int
	locks []*os.File
}

// Reserve reserves the given number of different ports, at least 1. It fails when the lock
// files cannot be made or when no port is free.
func Reserve(count int) (*Reservation, error) {
	if count > abovePort-lowestPort {
		return nil, fmt.Errorf("reserve ports: %d are more than there are from %d to %d", count, lowestPort, abovePort-1)
	}
	dir := directory()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("reserve ports: %w", err)
	}
	r := &Reservation{}
	for _, offset := range rand.Perm(abovePort - lowestPort) {
		if err := r.try(dir, lowestPort+offset); err != nil {
			return nil, errors.Join(fmt.Errorf("reserve ports: %w", err), r.Release())
		}
		if len(r.ports) == count {
			return r, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("reserve ports: fewer than %d are free from %d to %d", count, lowestPort, abovePort-1), r.Release())
}

// directory returns where the lock files are.
func directory() string {
	return filepath.Join(os.TempDir(), "fenfa-ports-"+strconv.Itoa(os.Getuid()))
}

// try adds the port unless somebody else has it.
func (r *Reservation) try(dir string, port int) error {
	lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // The name is a number.
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = nil
		}
		return errors.Join(err, lock.Close())
	}
	listener, err := net.Listen("tcp", Addr(port)) //nolint:noctx // Binding a loopback port does not block.
	if err != nil {
		return lock.Close() // A server that knows nothing of reservations has it.
	}
	if err := listener.Close(); err != nil {
		return errors.Join(err, lock.Close())
	}
	r.ports, r.locks = append(r.ports, port), append(r.locks, lock)
	return nil
}

// Ports returns the ports.
func (r *Reservation) Ports() []int { return r.ports }

// Addr returns the i-th port as host:port.
func (r *Reservation) Addr(i int) string { return Addr(r.ports[i]) }

// Release gives the ports back. It may be called more than once.
func (r *Reservation) Release() error {
	var errs []error
	for _, lock := range r.locks {
		errs = append(errs, lock.Close())
	}
	r.ports, r.locks = nil, nil
	return errors.Join(errs...)
}

// Addr returns a port of the loopback interface as host:port.
func Addr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
