package demo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/fenfa/fenfa/internal/task"
)

// A recorder file is a header of two counters and a ring of starts.
const (
	recorderRing  = 1 << 14 // starts that are kept: more than a worker can hold
	recorderStart = 24      // bytes of one start: task id and Unix microseconds
	recorderSize  = 16 + recorderRing*recorderStart
)

// recorder is a worker's flight recorder: a small file in shared memory in which
// the worker notes every order that it starts, before it does anything else. What
// is written there survives a kill -9 of the worker, so that the demo knows which
// orders the dead worker had in its hands. Notes cost no system call.
//
// One process writes, with many goroutines; others read.
type recorder struct {
	memory  []byte
	started *atomic.Uint64 // orders started, also more than once
	ended   *atomic.Uint64 // handlers that returned
}

// createRecorder makes a new, empty file.
func createRecorder(path string) (*recorder, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create recorder: %w", err)
	}
	if err := f.Truncate(recorderSize); err != nil {
		return nil, errors.Join(fmt.Errorf("create recorder: %w", err), f.Close())
	}
	return mapRecorder(f)
}

// openRecorder opens the file that another process made.
func openRecorder(path string) (*recorder, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open recorder: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() != recorderSize {
		err = fmt.Errorf("it has %d bytes, want %d", info.Size(), recorderSize)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open recorder %s: %w", path, err), f.Close())
	}
	return mapRecorder(f)
}

func mapRecorder(f *os.File) (*recorder, error) {
	memory, err := syscall.Mmap(int(f.Fd()), 0, recorderSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("map recorder: %w", err)
	}
	return &recorder{
		memory:  memory,
		started: (*atomic.Uint64)(unsafe.Pointer(&memory[0])), //nolint:gosec // A mapping begins on a page: aligned.
		ended:   (*atomic.Uint64)(unsafe.Pointer(&memory[8])), //nolint:gosec // See above.
	}, nil
}

func (r *recorder) close() error {
	if err := syscall.Munmap(r.memory); err != nil {
		return fmt.Errorf("unmap recorder: %w", err)
	}
	return nil
}

// start notes that an order starts.
func (r *recorder) start(id task.ID, at time.Time) {
	slot := r.slot(r.started.Add(1) - 1)
	copy(slot, id[:])
	binary.LittleEndian.PutUint64(slot[16:], uint64(at.UnixMicro()))
}

// end notes that a handler returned.
func (r *recorder) end() { r.ended.Add(1) }

// busy reports whether a handler is at work.
func (r *recorder) busy() bool {
	ended := r.ended.Load()
	return r.started.Load() > ended
}

// recent returns the orders that were started last, at most as many as the ring
// holds. The writer may be at work, or dead in the middle of a note: an entry may
// be no order's id.
func (r *recorder) recent() []task.ID {
	n := r.started.Load()
	ids := make([]task.ID, min(n, recorderRing))
	for i := range ids {
		copy(ids[i][:], r.slot(n-1-uint64(i)))
	}
	return ids
}

func (r *recorder) slot(n uint64) []byte {
	at := 16 + int(n%recorderRing)*recorderStart
	return r.memory[at : at+recorderStart]
}
