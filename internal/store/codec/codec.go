package codec

import (
	"fmt"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// version leads every value, but for those of dead letters that were requeued.
const version = 1

// AppendKey appends the key of r within its table and partition to b. Only the
// key fields of r count.
func AppendKey(b []byte, r store.Row) ([]byte, error) {
	switch r := r.(type) {
	case *store.Record:
		return appendString(appendString(b, r.Key), r.Name), nil
	case *store.Dedup:
		return append(b, r.ID[:]...), nil
	case *store.OpLog:
		return appendUint64(b, r.Seq), nil
	case *store.Outbox:
		return appendUint64(b, r.Seq), nil
	case *store.Schedule:
		return appendUint64(appendTime(b, r.Due), r.Seq), nil
	case *store.Parked:
		return appendUint64(appendPair(appendString(b, r.Queue), r.Key, r.Class), r.Seq), nil
	case *store.Attempt:
		return append(b, r.ID[:]...), nil
	case *store.Dead:
		return appendUint64(appendString(b, r.Queue), r.Seq), nil
	case *store.Branch:
		return append(b, r.Tx[:]...), nil
	case *store.Intent:
		return appendString(appendString(append(b, r.Tx[:]...), r.Key), r.Name), nil
	case *store.Txn:
		return append(b, r.Tx[:]...), nil
	default:
		return b, unknownRow(r)
	}
}

// AppendValue appends the fields of r outside its key to b.
func AppendValue(b []byte, r store.Row) ([]byte, error) {
	if dead, ok := r.(*store.Dead); ok {
		return appendDead(b, dead), nil
	}
	b = append(b, version)
	switch r := r.(type) {
	case *store.Record:
		return appendRecord(b, r), nil
	case *store.Dedup:
		return appendDedup(b, r), nil
	case *store.OpLog:
		return appendOpLog(b, r), nil
	case *store.Outbox:
		return task.AppendBytes(b, r.Body), nil
	case *store.Schedule:
		return task.AppendBytes(b, r.Body), nil
	case *store.Parked:
		return task.AppendBytes(b, r.Body), nil
	case *store.Attempt:
		return appendAttempt(b, r), nil
	case *store.Branch:
		return appendBranch(b, r), nil
	case *store.Intent:
		return appendIntent(b, r), nil
	case *store.Txn:
		return appendTxn(b, r), nil
	default:
		return b, unknownRow(r)
	}
}

func unknownRow(r store.Row) error {
	return fmt.Errorf("encode row: type %T has no stored form", r)
}

// Decode reads a row of the table back. The row shares value, which must not
// change afterwards.
func Decode(table store.Table, key, value []byte) (store.Row, error) {
	d := decoder{key: keyParser{rest: key}, value: task.NewParser(value)}
	v := d.value.Byte()
	d.requeued = table == store.TableDead && v == requeuedDead
	if !d.value.Failed() && v != version && !d.requeued {
		return nil, fmt.Errorf("decode %s row %x: %w: format version %d is not known (this fenfa reads %d)",
			table, key, task.ErrCorrupt, v, version)
	}
	r := d.row(table)
	if r == nil {
		return nil, fmt.Errorf("decode row %x: %w: no table has the number %d", key, task.ErrCorrupt, table)
	}
	if err := d.key.end(); err != nil {
		return nil, fmt.Errorf("decode %s row %x: key: %w", table, key, err)
	}
	if d.invalid {
		return nil, fmt.Errorf("decode %s row %x: %w: unknown flags or a count too high", table, key, task.ErrCorrupt)
	}
	if err := d.value.End(); err != nil {
		return nil, fmt.Errorf("decode %s row %x: %w", table, key, err)
	}
	return r, nil
}

// decoder reads one row. What is wrong is noted by its parsers, so that the
// functions of the row types read straight through.
type decoder struct {
	key     keyParser
	value   task.Parser
	invalid bool // the value has flags or counts that no encoder writes
	// requeued says that the dead letter was one before.
	requeued bool
}

func (d *decoder) row(table store.Table) store.Row {
	switch table {
	case store.TableRecord:
		return d.record()
	case store.TableDedup:
		return d.dedup()
	case store.TableOpLog:
		return d.opLog()
	case store.TableOutbox:
		return &store.Outbox{Seq: d.key.uint64(), Body: d.value.Bytes()}
	case store.TableSchedule:
		return &store.Schedule{Due: d.key.time(), Seq: d.key.uint64(), Body: d.value.Bytes()}
	case store.TableParked:
		r := &store.Parked{Queue: d.key.string()}
		r.Key, r.Class = d.key.pair()
		r.Seq, r.Body = d.key.uint64(), d.value.Bytes()
		return r
	case store.TableAttempt:
		return d.attempt()
	case store.TableDead:
		return d.dead(d.requeued)
	case store.TableBranch:
		return d.branch()
	case store.TableIntent:
		return d.intent()
	case store.TableTxn:
		return d.txn()
	default:
		return nil
	}
}

// flags reads a byte of flags of which only the known ones may be set.
func (d *decoder) flags(known byte) byte {
	f := d.value.Byte()
	if f&^known != 0 {
		d.invalid = true
	}
	return f
}
