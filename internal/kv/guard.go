package kv

import (
	"fmt"
	"path/filepath"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/fenfa/fenfa/internal/clock"
)

// guardFS ends the process when the log, or a directory, could not be written.
//
// Pebble reports some of these failures late and meets others by a panic with
// its locks in disorder; here each is caught where it happens, with the name of
// the file and the operation, and before anything above could take it for a
// success or try it again. Failures of tables need no guard: Pebble writes
// those anew from the log.
type guardFS struct {
	vfs.FS
	armed  atomic.Bool // off while the database is being opened: then errors are returned
	clock  clock.Clock
	onFail func(error)           // does not return
	onSync func(seconds float64) // observes fsyncs of the log
}

func isLog(name string) bool { return filepath.Ext(name) == ".log" }

// check passes err on, or ends the process when it counts.
func (g *guardFS) check(operation, name string, err error) error {
	if err != nil && g.armed.Load() {
		g.onFail(fmt.Errorf("%s %s: %w", operation, name, err))
	}
	return err
}

func (g *guardFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.Create(name, category)
	return g.guard(name, "create", f, err)
}

func (g *guardFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.ReuseForWrite(oldname, newname, category)
	return g.guard(newname, "reuse", f, err)
}

func (g *guardFS) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardFile{File: f, fs: g, name: name, quiet: true}, nil
}

func (g *guardFS) Unwrap() vfs.FS { return g.FS }

func (g *guardFS) guard(name, operation string, f vfs.File, err error) (vfs.File, error) {
	if !isLog(name) {
		return f, err
	}
	if err := g.check(operation, name, err); err != nil {
		return nil, err
	}
	return &guardFile{File: f, fs: g, name: name}, nil
}

// guardFile is a file of the log, or a directory.
type guardFile struct {
	vfs.File
	fs    *guardFS
	name  string
	quiet bool // not observed as an fsync of the log
}

func (f *guardFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.fs.check("write", f.name, err)
}

func (f *guardFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	return n, f.fs.check("write", f.name, err)
}

func (f *guardFile) Sync() error {
	return f.timed(f.File.Sync)
}

func (f *guardFile) SyncData() error {
	return f.timed(f.File.SyncData)
}

func (f *guardFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.fs.check("sync", f.name, err)
}

func (f *guardFile) Close() error {
	return f.fs.check("close", f.name, f.File.Close())
}

func (f *guardFile) timed(sync func() error) error {
	start := f.fs.clock.Now()
	err := sync()
	if !f.quiet {
		f.fs.onSync(f.fs.clock.Now().Sub(start).Seconds())
	}
	return f.fs.check("sync", f.name, err)
}
