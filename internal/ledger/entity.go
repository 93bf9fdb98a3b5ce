package ledger

import (
	"container/list"
	"maps"
	"slices"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// entity is what is known of the records of one key.
type entity struct {
	key      string
	records  map[string]*record // those that do not exist have version 0
	complete bool               // no other records exist
	partial  bool               // it has too many records to hold them all
	dirty    uint64             // number of the last batch that changes it
	authors  [2]author          // of the changes in the batch in flight and in the one that gathers
	expected int                // reads of the store that are under way
	bytes    int
	place    *list.Element
}

// author is who changed an entity's records in a batch.
type author struct {
	batch uint64
	run   uint64 // of the leases that made all of the changes; 0: there is none
}

type record struct {
	of        *entity
	name      string
	version   uint64
	value     []byte
	counter   *counter // nil: it is not declared escrow
	updatedAt task.Timestamp
	taskID    task.ID
	tx        task.ID // the undecided transaction that is to change it
	token     uint64  // lease that wrote it; 0: none of this owner's
	run       uint64  // of that lease
	touched   uint64  // number of the last batch that lists it as touched
}

const entityOverhead = 200

// Known reports whether all records of the key are in memory.
func (l *Ledger) Known(key string) bool {
	if l.head.Seq == 0 {
		return true // nothing was ever written here
	}
	e := l.entities[key]
	return e != nil && e.complete
}

// Ready reports whether the key's records are in memory as far as they will be:
// all of them, or as many as were loaded where there are too many.
func (l *Ledger) Ready(key string) bool {
	if l.Known(key) {
		return true
	}
	e := l.entities[key]
	return e != nil && e.partial
}

// KnowsRecord reports whether it is in memory what the record is, or that it
// does not exist.
func (l *Ledger) KnowsRecord(key, name string) bool {
	if l.Known(key) {
		return true
	}
	e := l.entities[key]
	return e != nil && e.records[name] != nil
}

// Clean reports whether everything known of the key is durable.
func (l *Ledger) Clean(key string) bool {
	e := l.entities[key]
	return e == nil || e.dirty <= l.done
}

// OnlyBy reports whether everything known of the key is durable but for what the leases
// of this run wrote.
func (l *Ledger) OnlyBy(key string, run uint64) bool {
	e := l.entities[key]
	if e == nil || e.dirty <= l.done {
		return true
	}
	for _, by := range e.authors {
		if by.batch > l.done && by.run != run {
			return false
		}
	}
	return true
}

// Expect says that the store is about to be read for the key; Fill or FillOne
// follows. Until then nothing that is known of the key is forgotten: it may be
// newer than what the read finds.
func (l *Ledger) Expect(key string) { l.entity(key).expected++ }

// arrived is the end of one read of the store.
func (e *entity) arrived() { e.expected = max(0, e.expected-1) }

// Fill adds the records of a key that were loaded from the store. What the ledger
// knows already is newer and stays. complete says that the key has no others.
func (l *Ledger) Fill(key string, rows []*store.Record, complete bool) {
	e := l.entity(key)
	e.arrived()
	for _, row := range rows {
		if _, known := e.records[row.Name]; known {
			continue
		}
		r := &record{of: e, name: row.Name, version: row.Version, value: row.Value, updatedAt: row.UpdatedAt, taskID: row.TaskID, counter: l.counterOf(row)}
		e.records[row.Name] = r
		l.grow(e, r.size())
	}
	e.complete = e.complete || complete
	e.partial = !e.complete
}

// FillOne adds one record that was looked for in the store; row is nil where it
// does not exist.
func (l *Ledger) FillOne(key, name string, row *store.Record) {
	e := l.entity(key)
	e.arrived()
	if e.records[name] != nil {
		return
	}
	r := &record{of: e, name: name}
	if row != nil {
		r.version, r.value, r.updatedAt, r.taskID, r.counter = row.Version, row.Value, row.UpdatedAt, row.TaskID, l.counterOf(row)
	}
	e.records[name] = r
	l.grow(e, r.size())
}

// Record returns what is known of a record; its version is 0 where it does not
// exist. The record must be known.
func (l *Ledger) Record(key, name string) task.Record {
	e := l.entities[key]
	if e == nil || e.records[name] == nil {
		return task.Record{Key: key, Name: name}
	}
	r := e.records[name].export()
	if len(l.pins) > 0 {
		if p := l.pins[RecordKey{key, name}]; p != nil {
			r.ReservedLow, r.ReservedHigh = p.adds.low, p.adds.high
		}
	}
	return r
}

// Travel returns the records of a known key, sorted by name, if they are small
// enough to travel with a lease.
func (l *Ledger) Travel(key string) (records []task.Record, complete bool) {
	e := l.entities[key]
	if e == nil {
		return nil, l.Known(key)
	}
	l.recent.MoveToFront(e.place)
	if !l.Known(key) {
		return nil, false
	}
	size := 0
	for _, r := range e.records {
		if r.travels() {
			size += 48 + len(r.name) + len(r.value)
		}
	}
	if size > task.MaxTravel {
		return nil, false
	}
	if len(e.records) == 1 {
		for _, r := range e.records {
			if r.travels() {
				return []task.Record{r.export()}, true
			}
		}
		return nil, true
	}
	for _, name := range slices.Sorted(maps.Keys(e.records)) {
		if r := e.records[name]; r.travels() {
			records = append(records, r.export())
		}
	}
	return records, true
}

// travels reports whether the record exists and is for handlers.
func (r *record) travels() bool { return r.version != 0 && !task.Reserved(r.name) }

func (r *record) export() task.Record {
	return task.Record{
		Key: r.of.key, Name: r.name, Version: r.version, Value: r.value, UpdatedAt: r.updatedAt, TaskID: r.taskID, Escrow: r.counter != nil,
	}
}

func (l *Ledger) entity(key string) *entity {
	e := l.entities[key]
	if e == nil {
		e = &entity{key: key, records: make(map[string]*record), complete: l.head.Seq == 0}
		e.place = l.recent.PushFront(e)
		l.entities[key] = e
		l.grow(e, len(key)+entityOverhead)
	} else {
		l.recent.MoveToFront(e.place)
	}
	return e
}

func (l *Ledger) grow(e *entity, n int) {
	e.bytes += n
	l.cached += n
}

// evict forgets the least recently used entities until the cache fits. It keeps
// what the store may not know yet: entities whose changes are not durable, and
// those that are being loaded. Of one that is changed all the time and takes a
// large part of the cache, it forgets the records that are durable.
func (l *Ledger) evict() {
	for at := l.recent.Back(); at != nil && l.cached > l.cfg.CacheBytes; {
		e := at.Value.(*entity)
		at = at.Prev()
		switch {
		case e.expected > 0:
		case e.dirty <= l.done:
			l.recent.Remove(e.place)
			delete(l.entities, e.key)
			l.cached -= e.bytes
		case e.bytes > l.cfg.CacheBytes/4:
			l.thin(e)
		}
	}
}

// thin forgets those records of an entity that are durable.
func (l *Ledger) thin(e *entity) {
	for name, r := range e.records {
		if r.touched <= l.done {
			delete(e.records, name)
			l.grow(e, -r.size())
			e.complete, e.partial = false, true
		}
	}
}

// size is what the record counts as against the cache.
func (r *record) size() int { return len(r.name) + len(r.value) + entityOverhead }
