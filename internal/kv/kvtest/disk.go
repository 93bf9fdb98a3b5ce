package kvtest

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// ErrInjected is what operations fail with.
var ErrInjected = errors.New("injected disk failure")

// Disk is a disk in memory that counts the operations which change it. At a
// chosen one it can be photographed as a crash would leave it, or fail.
type Disk struct {
	mem *vfs.MemFS
	fs  vfs.FS

	mu      sync.Mutex
	ops     int
	crash   Crash
	after   *Disk
	failure Failure
	failed  bool
	held    chan struct{} // syncs of the log wait until it is closed; nil: none do
}

// Crash says when a disk is photographed, and what the picture has.
type Crash struct {
	At       int    // the changing operation, counted from 1, just before it happens; 0: never
	Unsynced int    // percent of what was not synced that is there all the same
	Seed     uint64 // draws which
	// Before and After, where not nil, are called around the moment. What was known
	// at Before must be in the picture, what was begun by After may be.
	Before, After func()
}

// Failure says which changing operations fail.
type Failure struct {
	At   int  // the first one, counted from 1; 0: none
	Once bool // only this one, not all that follow
}

// NewDisk returns an empty disk.
func NewDisk() *Disk { return newDisk(vfs.NewCrashableMem()) }

func newDisk(mem *vfs.MemFS) *Disk {
	d := &Disk{mem: mem}
	d.fs = errorfs.Wrap(mem, errorfs.InjectorFunc(d.step))
	return d
}

// FS returns the disk as kv.Config wants it.
func (d *Disk) FS() vfs.FS { return d.fs }

// CrashAt plans a crash, which leaves the disk itself as it is; AfterCrash has the
// picture.
func (d *Disk) CrashAt(c Crash) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crash = c
}

// FailAt plans failures.
func (d *Disk) FailAt(f Failure) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failure = f
}

// CrashNow returns the disk as a crash now would leave it.
func (d *Disk) CrashNow(unsynced int, seed uint64) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clone(unsynced, seed)
}

// AfterCrash returns the picture that CrashAt asked for, or nil while the
// operation has not come.
func (d *Disk) AfterCrash() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.after
}

// Ops returns how many operations have changed the disk so far.
func (d *Disk) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// Failed reports whether an operation has failed.
func (d *Disk) Failed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// step sees each operation before it happens.
func (d *Disk) step(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	d.waitHeld(op)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keepOrder(op)
	d.ops++
	if d.ops == d.crash.At {
		if d.crash.Before != nil {
			d.crash.Before()
		}
		d.after = d.clone(d.crash.Unsynced, d.crash.Seed)
		if d.crash.After != nil {
			d.crash.After()
		}
	}
	if at := d.failure.At; at > 0 && (d.ops == at || d.ops > at && !d.failure.Once) {
		d.failed = true
		return ErrInjected
	}
	return nil
}

// keepOrder makes a new manifest's directory entry durable before the marker that
// points to it. Pebble relies on the file system to keep the order of these two,
// as those with an ordered journal do; a picture draws entries one by one.
func (d *Disk) keepOrder(op errorfs.Op) {
	if op.Kind != errorfs.OpCreate || !strings.HasPrefix(d.mem.PathBase(op.Path), "marker.manifest.") {
		return
	}
	dir, err := d.mem.OpenDir(d.mem.PathDir(op.Path))
	if err != nil {
		return // The creation fails likewise.
	}
	// Neither fails on a directory in memory.
	_, _ = dir.Sync(), dir.Close()
}

func (d *Disk) clone(unsynced int, seed uint64) *Disk {
	return newDisk(d.mem.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: unsynced,
		RNG:                 rand.New(rand.NewPCG(seed, uint64(unsynced))),
	}))
}

// TruncateLogs cuts the last bytes of the newest log, as a torn write leaves it,
// and reports how many bytes it had.
func (d *Disk) TruncateLogs(dir string, cut int) (size int, err error) {
	names, err := d.mem.List(dir)
	if err != nil {
		return 0, err
	}
	newest := ""
	for _, name := range names {
		if len(name) > 4 && name[len(name)-4:] == ".log" && name > newest {
			newest = name
		}
	}
	if newest == "" {
		return 0, nil
	}
	path := d.mem.PathJoin(dir, newest)
	data, err := d.read(path)
	if err != nil {
		return 0, err
	}
	return len(data), d.write(path, data[:max(0, len(data)-cut)])
}

func (d *Disk) read(path string) (data []byte, err error) {
	f, err := d.mem.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > 0 {
		data = make([]byte, info.Size())
		_, err = f.ReadAt(data, 0)
	}
	return data, errors.Join(err, f.Close())
}

func (d *Disk) write(path string, data []byte) error {
	f, err := d.mem.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// HoldLog lets nobody's sync of the log begin until release is called.
func (d *Disk) HoldLog() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	held := make(chan struct{})
	d.held = held
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.held == held {
			d.held = nil
		}
		close(held)
	}
}

// waitHeld waits while the log is held.
func (d *Disk) waitHeld(op errorfs.Op) {
	if op.Kind != errorfs.OpFileSyncData && op.Kind != errorfs.OpFileSync || !strings.HasSuffix(op.Path, ".log") {
		return
	}
	d.mu.Lock()
	held := d.held
	d.mu.Unlock()
	if held != nil {
		<-held
	}
}

// SetFree sets how many bytes the disk says are left; at first it does not say.
func (d *Disk) SetFree(bytes uint64) {
	d.mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: bytes, TotalBytes: bytes + 1})
}
