package workers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/history"
	"github.com/fenfa/fenfa/internal/task"
)

// journal is where a crew writes what its handlers do: a line when one begins and
// another when it ends. What was written survives a kill of the process.
type journal struct{ file *os.File }

func openJournal(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return &journal{file: file}, nil
}

// begin notes that a handler begins. The handler calls done with its error before
// it returns.
func (j *journal) begin(worker string, t *fenfa.Task) (done func(error) error, err error) {
	d := history.Delivery{
		Worker: worker, Partition: task.PartitionOf(t.Key(), task.DefaultPartitions), Task: task.ID(t.ID()), Queue: t.Queue(), Key: t.Key(),
		Attempt: t.Attempt(), Delivery: t.Delivery(), Start: time.Now().UnixNano(),
	}
	done = func(err error) error {
		d.End = time.Now().UnixNano()
		if err != nil {
			d.Error = err.Error()
		}
		return j.write(d)
	}
	return done, j.write(d)
}

// write appends one line by one call, so that lines of many handlers do not mix.
func (j *journal) write(d history.Delivery) error {
	var line bytes.Buffer
	if err := history.Encode(&line, history.History{Deliveries: []history.Delivery{d}}); err != nil {
		return err
	}
	if _, err := j.file.Write(line.Bytes()); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// execution names one run of a handler.
type execution struct {
	worker   string
	task     task.ID
	delivery int
	start    int64
}

// journalReader follows a journal while it grows.
type journalReader struct {
	path  string
	read  int64              // bytes of whole lines
	runs  []history.Delivery // in the order of their begin
	index map[execution]int  // of runs
	ended int                // runs that ended
}

// follow reads what is new.
func (r *journalReader) follow() error {
	file, err := os.Open(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // The process has not come so far.
	}
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(r.read, io.SeekStart); err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1] // A kill may leave half a line.
	h, err := history.Decode(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("read journal %s: %w", r.path, err)
	}
	r.read += int64(len(text))
	for _, d := range h.Deliveries {
		r.add(d)
	}
	return nil
}

func (r *journalReader) add(d history.Delivery) {
	name := execution{d.Worker, d.Task, d.Delivery, d.Start}
	i, known := r.index[name]
	if !known {
		i = len(r.runs)
		r.index[name] = i
		r.runs = append(r.runs, d)
	}
	r.runs[i] = d
	if d.End != 0 {
		r.ended++
	}
}
