package kv

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/fenfa/fenfa/internal/clock"
)

// tablePause slows down what tries a failed write of a table again; Pebble itself
// would try at once, for as long as the disk is full.
const tablePause = 100 * time.Millisecond

// guardFS ends the process when the log, or a directory, could not be written.
//
// Pebble reports some of these failures late and meets others by a panic with
// its locks in disorder; here each is caught where it happens, with the name of
// the file and the operation, and before anything above could take it for a
// success or try it again. Failures of tables are passed on, because Pebble
// writes those anew from the log.
type guardFS struct {
	vfs.FS
	armed  atomic.Bool // off while the database is being opened: then failures are returned
	clock  clock.Clock
	onFail func(error)           // does not return
	onSync func(seconds float64) // observes fsyncs of the log
}

// fileKind says what a failure means.
type fileKind uint8

const (
	fileOther fileKind = iota // Pebble deals with it
	fileTable                 // Pebble tries again: slow it down
	fileLog                   // the end, once the database is open
	fileDir                   // the end: Pebble panics where the sync of one fails
)

func kindOf(name string) fileKind {
	switch filepath.Ext(name) {
	case ".log":
		return fileLog
	case ".sst", ".blob":
		return fileTable
	default:
		return fileOther
	}
}

// check passes err on, or ends the process when it counts.
func (g *guardFS) check(kind fileKind, operation, name string, err error) error {
	switch {
	case err == nil:
	case kind == fileDir, kind == fileLog && g.armed.Load():
		g.onFail(fmt.Errorf("%s %s: %w", operation, name, err))
	case kind == fileTable && g.armed.Load():
		over := make(chan struct{})
		g.clock.AfterFunc(tablePause, func() { close(over) })
		<-over
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
	return &guardFile{File: f, fs: g, name: name, kind: fileDir}, nil
}

func (g *guardFS) Unwrap() vfs.FS { return g.FS }

func (g *guardFS) guard(name, operation string, f vfs.File, err error) (vfs.File, error) {
	kind := kindOf(name)
	if kind == fileOther {
		return f, err
	}
	if err := g.check(kind, operation, name, err); err != nil {
		return nil, err
	}
	return &guardFile{File: f, fs: g, name: name, kind: kind}, nil
}

// guardFile is a file that is written, or a directory.
type guardFile struct {
	vfs.File
	fs   *guardFS
	name string
	kind fileKind
}

func (f *guardFile) check(operation string, err error) error {
	return f.fs.check(f.kind, operation, f.name, err)
}

func (f *guardFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.check("write", err)
}

func (f *guardFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	return n, f.check("write", err)
}

func (f *guardFile) Sync() error { return f.timed(f.File.Sync) }

func (f *guardFile) SyncData() error { return f.timed(f.File.SyncData) }

func (f *guardFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.check("sync", err)
}

func (f *guardFile) Close() error { return f.check("close", f.File.Close()) }

func (f *guardFile) timed(sync func() error) error {
	start := f.fs.clock.Now()
	err := sync()
	if f.kind == fileLog {
		f.fs.onSync(f.fs.clock.Now().Sub(start).Seconds())
	}
	return f.check("sync", err)
}
