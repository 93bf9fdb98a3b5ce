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
type TaskState struct {
	run *execution
	key string // empty: the task's own
}

// Of returns access to the records of another key, as a part of the task too: all
// that the handler reads and writes, of whatever keys, takes effect together with the
// outcome or not at all. Where keys are in different partitions that is a
// transaction; one that meets another one runs the handler again after a moment,
// without counting a failed attempt. At most 256 records of other keys.
func (s *TaskState) Of(key string) *TaskState {
	if key == s.run.task.Key() {
		key = ""
	} else if key == "" || len(key) > maxKey || !utf8.ValidString(key) {
		s.run.fail(errorf(CodeInvalidArgument, "a record's key is text of 1 to %d bytes, this one has %d", maxKey, len(key)).withField("key"))
	}
	return &TaskState{run: s.run, key: key}
}

// spelled is the key in words.
func (s *TaskState) spelled() string {
	if s.key == "" {
		return s.run.task.Key()
	}
	return s.key
}

// write is a record that the handler wrote, once for each name.
type write struct {
	key     string // empty: the task's own
	name    string
	value   []byte
	delete  bool
	known   bool // version or chained is set
	version uint64
	chained bool
	adds    bool // delta, to a record that is declared escrow
	delta   int64
}

// read is a record that the handler read, once for each name.
type read struct {
	key     string // empty: the task's own
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
		return errorf(CodeNotFound, "record %q of key %q does not exist", clip(name, 64), clip(s.spelled(), 64))
	}
	if err := decode(value, v); err != nil {
		return errorf(CodeInternal, "decode record %q of key %q: %w", clip(name, 64), clip(s.spelled(), 64), err)
	}
	return nil
}

// GetRaw returns a record's value, which must not be changed, and whether it
// exists.
func (s *TaskState) GetRaw(ctx context.Context, name string) (value []byte, exists bool, err error) {
	e := s.run
	if err := e.checkRecord(s.key, name, 0); err != nil {
		return nil, false, err
	}
	w := e.written(s.key, name)
	if w != nil && !w.adds {
		return w.value, !w.delete, nil
	}
	c, err := e.viewOf(s.key).lookup(ctx, name)
	if err != nil {
		return nil, false, err
	}
	e.noteRead(s.key, name, c)
	if w != nil {
		return added(c.value, w.delta), c.exists, nil
	}
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
	s.run.write(write{key: s.key, name: name, value: value})
}

// PutRaw writes a record as it is; the value must not be changed afterwards.
func (s *TaskState) PutRaw(name string, value []byte) {
	s.run.write(write{key: s.key, name: name, value: value})
}

// Delete deletes a record, if it exists.
func (s *TaskState) Delete(name string) { s.run.write(write{key: s.key, name: name, delete: true}) }

func (e *execution) write(w write) {
	if err := e.checkRecord(w.key, w.name, len(w.value)); err != nil {
		e.fail(err)
		return
	}
	e.count(len(w.key) + len(w.name) + len(w.value))
	if earlier := e.written(w.key, w.name); earlier != nil {
		if earlier.adds {
			e.fail(errorf(CodeInvalidArgument, "the handler adds to record %q, and writes it", w.name))
			return
		}
		earlier.value, earlier.delete = w.value, w.delete
		return
	}
	if len(e.writes) == maxWrites {
		e.fail(errorf(CodeTooLarge, "the handler writes more than %d records", maxWrites))
		return
	}
	if c, ok := e.viewOf(w.key).peek(w.name); ok {
		w.known, w.version, w.chained = true, c.version, c.chained
	}
	e.writes = append(e.writes, w)
}

func (e *execution) checkRecord(key, name string, size int) error {
	switch {
	case key == "" && e.task.Key() == "":
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

func (e *execution) written(key, name string) *write {
	for i := range e.writes {
		if e.writes[i].key == key && e.writes[i].name == name {
			return &e.writes[i]
		}
	}
	return nil
}

// noteRead remembers what the outcome depends on. A record is read once: the view
// does not change while a handler runs.
func (e *execution) noteRead(key, name string, c cell) {
	for i := range e.reads {
		if e.reads[i].key == key && e.reads[i].name == name {
			return
		}
	}
	e.reads = append(e.reads, read{key: key, name: name, version: c.version, chained: c.chained})
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
		writes[i].Key, writes[i].Name, writes[i].Value, writes[i].Delete = w.key, w.name, w.value, w.delete
		if w.adds {
			writes[i].Add = &w.delta
			continue
		}
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
		if w := e.written(r.key, r.name); done && w != nil && !w.adds {
			continue
		}
		reads = append(reads, &fenfav1.Read{Key: r.key, Name: r.name, Version: r.version, Chained: r.chained})
	}
	return reads
}
