package ledger

import (
	"cmp"
	"errors"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// ErrConflict says that a record was not at the version that the outcome
// depends on.
var ErrConflict = errors.New("a record was changed meanwhile")

// Author is who changes records: a task's attempt under a lease, or, with a
// zero token, a caller.
type Author struct {
	TaskID  task.ID
	Attempt int
	Worker  string
	Token   uint64
	Run     uint64  // of leases that one worker has one after another, the token of the first; 0: there is none
	Tx      task.ID // the transaction across partitions that it is a part of; zero: none
}

// RecordKey addresses a record.
type RecordKey struct{ Key, Name string }

// Compare orders addresses by key and name.
func (k RecordKey) Compare(other RecordKey) int {
	return cmp.Or(strings.Compare(k.Key, other.Key), strings.Compare(k.Name, other.Name))
}

// Missing returns the records that an outcome of t reads or writes and that are
// not in memory: load them before Apply.
func (l *Ledger) Missing(t *task.Task, o *task.Outcome) []RecordKey {
	var missing []RecordKey
	look := func(key, name string) {
		if key == "" {
			key = t.Key
		}
		// What cannot be a record's address is left to Check, which refuses it.
		if task.ValidateRecord(key, name, 0) == nil && l.local(key) && !l.KnowsRecord(key, name) {
			missing = append(missing, RecordKey{key, name})
		}
	}
	for i := range o.Writes {
		look(o.Writes[i].Key, o.Writes[i].Name)
	}
	for i := range o.Reads {
		look(o.Reads[i].Key, o.Reads[i].Name)
	}
	return missing
}

// Check says whether the outcome of t may take effect as far as this partition is
// concerned: an error that is ErrConflict asks for another execution, one that is
// ErrPinned for patience, any other one is final. Records of other partitions are
// left to a transaction.
func (l *Ledger) Check(t *task.Task, o *task.Outcome, token uint64) error {
	if len(o.Result) > task.MaxResult {
		return task.Errorf(task.CodeTooLarge, "the result has %d bytes; at most %d are allowed", len(o.Result), task.MaxResult)
	}
	if len(o.Writes) > task.MaxWrites {
		return task.Errorf(task.CodeTooLarge, "the outcome writes %d records; at most %d are allowed", len(o.Writes), task.MaxWrites)
	}
	if len(o.Emits) > task.MaxEmits {
		return task.Errorf(task.CodeTooLarge, "the outcome emits %d tasks; at most %d are allowed", len(o.Emits), task.MaxEmits)
	}
	conflict := l.CheckReads(t, o, token)
	if conflict != nil && !passing(conflict) {
		return conflict
	}
	for i := range o.Writes {
		w := &o.Writes[i]
		key := l.keyOf(t, w.Key)
		if key == "" {
			return keyless(w.Name)
		}
		if err := task.ValidateRecord(key, w.Name, len(w.Value)); err != nil {
			return err
		}
		if err := task.CheckRecordName(w.Name); err != nil {
			return err
		}
		if err := task.CheckRecordKey(key); err != nil {
			return err
		}
		if l.writtenBefore(t, o.Writes[:i], w) {
			return task.Errorf(task.CodeInvalidArgument, "the outcome writes record %q twice", w.Name)
		}
		if err := l.checkWrite(t, key, w, token); err != nil && !passing(err) {
			return err
		} else if err != nil {
			conflict = worse(conflict, err)
		}
	}
	return conflict
}

// checkWrite says, like Check, whether one record may be written.
func (l *Ledger) checkWrite(t *task.Task, key string, w *task.Write, token uint64) error {
	if w.Escrow == task.EscrowAdd {
		if l.local(key) {
			return l.checkAdd(key, w.Name, w.Delta)
		}
		return task.CheckDelta(w.Delta)
	}
	if err := l.checkVersion(t, w.Key, w.Name, w.Expected, w.Chained, token); err != nil {
		return err
	}
	if err := l.checkPlain(key, w); err != nil {
		return err
	}
	return l.pinned(key, w.Name, true)
}

// CheckReads says, like Check, whether what the outcome only read is still so.
func (l *Ledger) CheckReads(t *task.Task, o *task.Outcome, token uint64) error {
	var conflict error
	for i := range o.Reads {
		r := &o.Reads[i]
		if err := task.CheckRecordKey(r.Key); err != nil {
			return err // The node changes these without a look at who depends on them.
		}
		if err := l.checkVersion(t, r.Key, r.Name, r.Version, r.Chained, token); err != nil && !passing(err) {
			return err
		} else if err != nil {
			conflict = worse(conflict, err)
		} else if conflict == nil {
			conflict = l.pinned(l.keyOf(t, r.Key), r.Name, false)
		}
	}
	return conflict
}

func keyless(name string) error {
	return task.Errorf(task.CodeFailedPrecondition, "record %q: a task without a key keeps no state of its own; submit it with a key, or name the record's key", name)
}

// passing reports whether an error is about what records are now.
func passing(err error) bool { return errors.Is(err, ErrConflict) || errors.Is(err, ErrPinned) }

// worse returns the reason that says more: a changed record stays changed, while
// one that is held comes free.
func worse(a, b error) error {
	if a == nil || errors.Is(b, ErrConflict) {
		return b
	}
	return a
}

func (l *Ledger) keyOf(t *task.Task, key string) string {
	if key == "" {
		return t.Key
	}
	return key
}

func (l *Ledger) local(key string) bool {
	return task.PartitionOf(key, l.cfg.Partitions) == l.cfg.Part
}

func (l *Ledger) writtenBefore(t *task.Task, earlier []task.Write, w *task.Write) bool {
	for i := range earlier {
		if earlier[i].Name == w.Name && l.keyOf(t, earlier[i].Key) == l.keyOf(t, w.Key) {
			return true
		}
	}
	return false
}

func (l *Ledger) checkVersion(t *task.Task, key, name string, expected uint64, chained bool, token uint64) error {
	if key = l.keyOf(t, key); key == "" {
		return keyless(name)
	}
	if !l.local(key) {
		if chained {
			return task.Errorf(task.CodeInvalidArgument, "record %q of key %q is in another partition than the task: it cannot build on what the lease wrote before", name, key)
		}
		return nil
	}
	var version, wrote uint64
	if e := l.entities[key]; e != nil {
		if r := e.records[name]; r != nil {
			version, wrote = r.version, r.token
		}
	}
	switch {
	case chained && (wrote != token || token == 0):
		return &ConflictError{Key: key, Name: name, Version: version, Why: "it was written by another since"}
	case !chained && version != expected:
		return &ConflictError{Key: key, Name: name, Version: version, Expected: expected}
	}
	return nil
}

// Apply makes the writes of a checked outcome to this partition's records part of
// the gathering batch.
func (l *Ledger) Apply(now time.Time, by Author, t *task.Task, o *task.Outcome) {
	for i := range o.Writes {
		w := &o.Writes[i]
		if key := l.keyOf(t, w.Key); by.Tx.IsZero() || l.local(key) {
			l.write(now, by, key, w)
		}
	}
}

// Emit adds a follow-up task to the outbox and returns its row.
func (l *Ledger) Emit(now time.Time, t *task.Task) *store.Outbox {
	t.CreatedAt = l.Stamp(now)
	row := &store.Outbox{Seq: uint64(t.CreatedAt), Body: t.Append(make([]byte, 0, t.Size()+64))}
	l.Put(row)
	return row
}

// Write changes one record outside of any task if its version is the expected
// one, or whatever it is with any, and returns the version after it; one that a
// transaction holds is a ConflictError that is ErrPinned. The record must be known.
func (l *Ledger) Write(now time.Time, w *task.Write, anyVersion bool) (uint64, error) {
	if err := task.ValidateRecord(w.Key, w.Name, len(w.Value)); err != nil {
		return 0, err
	}
	if err := task.CheckRecordName(w.Name); err != nil {
		return 0, err
	}
	if have := l.Record(w.Key, w.Name).Version; !anyVersion && have != w.Expected {
		return 0, task.Errorf(task.CodeConflict, "record %q of key %q has version %d, not %d: read it again and decide anew", w.Name, w.Key, have, w.Expected)
	}
	if err := l.checkPlain(w.Key, w); err != nil {
		return 0, err
	}
	if err := l.pinned(w.Key, w.Name, true); err != nil {
		return 0, err
	}
	return l.write(now, Author{Worker: w.By}, w.Key, w), nil
}

// Keep changes a record of the system's own and returns its version, 0 after a
// delete. The record must be known.
func (l *Ledger) Keep(now time.Time, w *task.Write) uint64 { return l.write(now, Author{}, w.Key, w) }

func (l *Ledger) write(now time.Time, by Author, key string, w *task.Write) uint64 {
	e := l.entity(key)
	r := e.records[w.Name]
	if r == nil {
		r = &record{of: e, name: w.Name}
		e.records[w.Name] = r
		l.grow(e, len(w.Name)+entityOverhead)
	}
	if w.Delete && r.version == 0 {
		r.token = by.Token // later writes of the lease may build on its absence
		return 0           // no change, no op-log row
	}
	value, op := w.Value, store.OpPut
	switch {
	case w.Delete:
		value, op, r.counter = nil, store.OpDelete, nil
	case w.Escrow != task.EscrowNone:
		value, op = l.escrowed(r, w), store.OpEscrow
	}
	ts := l.Stamp(now)
	l.head.Seq++
	row := &store.OpLog{
		Seq: l.head.Seq, HLC: ts, Op: op, Key: key, Name: w.Name, Before: r.version, After: l.head.Seq,
		Value: value, TaskID: by.TaskID, Attempt: by.Attempt, Node: l.cfg.Node, Worker: by.Worker, Tx: by.Tx,
	}
	l.grow(e, len(value)-len(r.value))
	r.version, r.value = l.head.Seq, value
	if w.Delete {
		row.After, r.version = 0, 0
		l.Put(store.Gone(key, w.Name, row.Seq))
	}
	if row.Seq == 1 {
		l.Indexed(store.IndexGone, 0)
		l.Indexed(store.IndexHeld, 0)
	}
	r.updatedAt, r.taskID, r.token, r.run = ts, by.TaskID, by.Token, by.Run
	if w.Escrow != task.EscrowNone {
		r.token, r.run = 0, 0 // who adds does not know what the value was
	}
	row.Hash, l.scratch = Chain(l.head.Chain, row, l.scratch)
	l.head.Chain = row.Hash
	l.Put(row)
	l.touch(r)
	return r.version
}

// Indexed writes down from where on a part of the index is complete.
func (l *Ledger) Indexed(index store.Index, since uint64) { l.Put(store.Since(index, since)) }

// touch makes the record's row part of the gathering batch.
func (l *Ledger) touch(r *record) {
	if r.touched != l.number {
		r.touched = l.number
		l.touched = append(l.touched, r)
	}
	r.of.dirty = l.number
	switch by := &r.of.authors[l.number%2]; {
	case by.batch != l.number:
		*by = author{batch: l.number, run: r.run}
	case by.run != r.run:
		by.run = 0
	}
}
