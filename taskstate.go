package fenfa

import (
	"context"
	"unicode/utf8"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// TaskState reads and writes the records of a task's key, as a part of the task:
// reads see the state as of the task before it for that key, writes take effect
// with the task's outcome and only if what was read has not changed meanwhile;
// else the handler runs again over the records as they are then. It may be used
// by the handler's goroutine only, until the handler returns.
type TaskState struct{ run *execution }

// write is a record that the handler wrote, once for each name.
type write struct {
	name    string
	value   []byte
	delete  bool
	known   bool // version or chained is set
	version uint64
	chained bool
}

// read is a record that the handler read, once for each name.
type read struct {
	name    string
	version uint64
	chained bool
}

// Get reads a record into v, by the rule of Task.Decode. It fails with
// CodeNotFound where there is none; v then stays as it was.
func (s *TaskState) Get(ctx context.Context, name string, v any) error {
	value, exists, err := s.GetRaw(ctx, name)
	if err != nil {
		return err
	}
	if !exists {
		return errorf(CodeNotFound, "record %q of key %q does not exist", clip(name, 64), clip(s.run.task.Key(), 64))
	}
	if err := decode(value, v); err != nil {
		return errorf(CodeInternal, "decode record %q of key %q: %w", clip(name, 64), clip(s.run.task.Key(), 64), err)
	}
	return nil
}

// GetRaw returns a record's value, which must not be changed, and whether it
// exists.
func (s *TaskState) GetRaw(ctx context.Context, name string) (value []byte, exists bool, err error) {
	e := s.run
	if err := e.checkRecord(name, 0); err != nil {
		return nil, false, err
	}
	if w := e.written(name); w != nil {
		return w.value, !w.delete, nil
	}
	c, err := e.view.lookup(ctx, name)
	if err != nil {
		return nil, false, err
	}
	e.noteRead(name, c)
	return c.value, c.exists, nil
}

// Put writes a record, encoded by the rule of NewTask, at most 256 KiB. What
// cannot be written fails the attempt, whatever the handler returns. At most 1000
// records, and 3 MiB together with emits and result.
func (s *TaskState) Put(name string, v any) {
	value, err := encode(v)
	if err != nil {
		s.run.fail(err)
		return
	}
	s.run.write(write{name: name, value: value})
}

// PutRaw writes a record as it is; the value must not be changed afterwards.
func (s *TaskState) PutRaw(name string, value []byte) {
	s.run.write(write{name: name, value: value})
}

// Delete deletes a record, if it exists.
func (s *TaskState) Delete(name string) { s.run.write(write{name: name, delete: true}) }

func (e *execution) write(w write) {
	if err := e.checkRecord(w.name, len(w.value)); err != nil {
		e.fail(err)
		return
	}
	e.count(len(w.name) + len(w.value))
	if earlier := e.written(w.name); earlier != nil {
		earlier.value, earlier.delete = w.value, w.delete
		return
	}
	if len(e.writes) == maxWrites {
		e.fail(errorf(CodeTooLarge, "the handler writes more than %d records", maxWrites))
		return
	}
	if c, ok := e.view.peek(w.name); ok {
		w.known, w.version, w.chained = true, c.version, c.chained
	}
	e.writes = append(e.writes, w)
}

func (e *execution) checkRecord(name string, size int) error {
	switch {
	case e.task.Key() == "":
		return errorf(CodeFailedPrecondition, "task %s has no key, and records belong to a key: submit it with Key", e.task.wire.GetId()).withField("key")
	case name == "" || len(name) > maxRecordName:
		return errorf(CodeInvalidArgument, "a record's name has 1 to %d bytes, this one has %d", maxRecordName, len(name)).withField("name")
	case !utf8.ValidString(name):
		return notText("name", name)
	case size > maxRecordValue:
		return errorf(CodeTooLarge, "record %q has %d bytes; at most %d are allowed", name, size, maxRecordValue).withField("value")
	}
	return nil
}

func (e *execution) written(name string) *write {
	for i := range e.writes {
		if e.writes[i].name == name {
			return &e.writes[i]
		}
	}
	return nil
}

// noteRead remembers what the outcome depends on. A record is read once: the view
// does not change while a handler runs.
func (e *execution) noteRead(name string, c cell) {
	for i := range e.reads {
		if e.reads[i].name == name {
			return
		}
	}
	e.reads = append(e.reads, read{name: name, version: c.version, chained: c.chained})
}

func (e *execution) wireWrites() []*fenfav1.Write {
	if len(e.writes) == 0 {
		return nil
	}
	slab := make([]fenfav1.Write, len(e.writes))
	writes := make([]*fenfav1.Write, len(e.writes))
	for i := range e.writes {
		w := &e.writes[i]
		writes[i] = &slab[i]
		writes[i].Name, writes[i].Value, writes[i].Delete = w.name, w.value, w.delete
		if writes[i].Chained = w.chained; !w.chained {
			writes[i].ExpectedVersion = w.version
		}
	}
	return writes
}

// wireReads returns the reads; with done, only those whose version does not
// travel with a write.
func (e *execution) wireReads(done bool) []*fenfav1.Read {
	var reads []*fenfav1.Read
	for _, r := range e.reads {
		if done && e.written(r.name) != nil {
			continue
		}
		reads = append(reads, &fenfav1.Read{Name: r.name, Version: r.version, Chained: r.chained})
	}
	return reads
}
