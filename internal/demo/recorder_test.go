package demo

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

func numbered(n int) task.ID { return task.ID{byte(n >> 16), byte(n >> 8), byte(n), 1} }

func TestRecorderIsReadByAnotherMapping(t *testing.T) {
	path := filepath.Join(t.TempDir(), "worker")
	writer, err := createRecorder(path)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := openRecorder(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		writer.start(numbered(n), time.UnixMicro(int64(n)))
	}
	writer.end()
	if !reader.busy() {
		t.Error("a worker with two orders at work is not busy")
	}
	if got, want := reader.recent(), []task.ID{numbered(2), numbered(1), numbered(0)}; !slices.Equal(got, want) {
		t.Errorf("recent orders are %v, want %v", got, want)
	}
	if reader.started.Load() != 3 || reader.ended.Load() != 1 {
		t.Errorf("%d started and %d ended, want 3 and 1", reader.started.Load(), reader.ended.Load())
	}
	writer.end()
	writer.end()
	if reader.busy() {
		t.Error("a worker that has ended everything is busy")
	}
	// The notes outlive their writer.
	if err := writer.close(); err != nil {
		t.Fatal(err)
	}
	if len(reader.recent()) != 3 {
		t.Error("the notes are gone with their writer")
	}
	if err := reader.close(); err != nil {
		t.Fatal(err)
	}
}

func TestRecorderKeepsTheLastStarts(t *testing.T) {
	r, err := createRecorder(filepath.Join(t.TempDir(), "worker"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.close() }()
	for n := range recorderRing + 10 {
		r.start(numbered(n), time.UnixMicro(1))
	}
	got := r.recent()
	if len(got) != recorderRing || got[0] != numbered(recorderRing+9) || got[recorderRing-1] != numbered(10) {
		t.Errorf("%d recent orders from %v to %v", len(got), got[0], got[len(got)-1])
	}
}

func TestRecorderRefusesOtherFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "worker")
	if _, err := openRecorder(path); err == nil {
		t.Error("a missing file is opened")
	}
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openRecorder(path); err == nil {
		t.Error("a short file is opened")
	}
	if _, err := createRecorder(path); err == nil {
		t.Error("a file that is there is overwritten")
	}
}
