package ledger

import (
	"container/list"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// DefaultCacheBytes bounds the records that a ledger keeps in memory.
const DefaultCacheBytes = 16 << 20

// Config is what a ledger must know.
type Config struct {
	Part       int
	Partitions int
	Node       string
	CacheBytes int // default DefaultCacheBytes
}

// Ledger is the state of one partition as its owner sees it.
type Ledger struct {
	cfg    Config
	sealed store.Fence // head of the last sealed batch
	head   store.Fence // head of everything accepted

	batch    store.Batch
	bytes    int
	number   uint64 // of the batch that gathers, from 1
	done     uint64 // highest number that is durable
	inFlight bool
	touched  []*record
	proof    bool            // the gathering batch is committed even if it is empty
	unmarked map[task.ID]int // places in Deletes of the gathering batch, of marks
	scratch  []byte

	entities map[string]*entity
	recent   *list.List // of *entity, most recently used first
	cached   int

	pins     map[RecordKey]*pin
	escrow   bool                   // there may be counters in memory
	branches map[task.ID]*branch    // that are prepared
	undone   aborts                 // of branches
	txns     map[task.ID]*store.Txn // that are committed, and not confirmed by all
	givenUp  aborts                 // of transactions of this home
}

// New returns the ledger of a partition that was just claimed with this fence.
func New(cfg Config, fence store.Fence) *Ledger {
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = DefaultCacheBytes
	}
	return &Ledger{
		cfg:      cfg,
		sealed:   fence,
		head:     fence,
		number:   1,
		entities: make(map[string]*entity),
		recent:   list.New(),
		pins:     make(map[RecordKey]*pin),
		unmarked: make(map[task.ID]int),
		branches: make(map[task.ID]*branch),
		undone:   newAborts(),
		txns:     make(map[task.ID]*store.Txn),
		givenUp:  newAborts(),
	}
}

// Epoch is the epoch under which the partition was claimed.
func (l *Ledger) Epoch() uint64 { return l.head.Epoch }

// Stamp returns the partition's next timestamp: unique, and after every earlier
// one also across owners.
func (l *Ledger) Stamp(now time.Time) task.Timestamp {
	l.head.HLC = task.Next(l.head.HLC, now)
	return l.head.HLC
}

// Head is the latest timestamp that the partition has given.
func (l *Ledger) Head() task.Timestamp { return l.head.HLC }

// Witness makes the partition's next timestamp later than one of another partition,
// whatever the clock says. It changes nothing else, and need not be durable.
func (l *Ledger) Witness(ts task.Timestamp) { l.head.HLC = max(l.head.HLC, ts) }

// Put adds a row that is not a record to the batch. A mark takes back that one with
// its ID was removed in the batch.
func (l *Ledger) Put(row store.Row) {
	if mark, ok := row.(*store.Dedup); ok && len(l.unmarked) > 0 {
		l.takeBack(mark.ID)
	}
	l.batch.Puts = append(l.batch.Puts, row)
	l.bytes += rowOverhead + contentOf(row)
}

// Delete adds the removal of a row that is not a record to the batch. A row may
// be put and then deleted in different batches, not in one.
func (l *Ledger) Delete(row store.Row) {
	if mark, ok := row.(*store.Dedup); ok {
		l.unmarked[mark.ID] = len(l.batch.Deletes)
	}
	l.batch.Deletes = append(l.batch.Deletes, row)
	l.bytes += rowOverhead
}

// takeBack drops the removal of a mark from the batch, whose deletes come after its
// puts.
func (l *Ledger) takeBack(id task.ID) {
	at, gone := l.unmarked[id]
	if !gone {
		return
	}
	last := len(l.batch.Deletes) - 1
	l.batch.Deletes[at] = l.batch.Deletes[last]
	if moved, ok := l.batch.Deletes[at].(*store.Dedup); ok {
		l.unmarked[moved.ID] = at
	}
	l.batch.Deletes = l.batch.Deletes[:last]
	delete(l.unmarked, id)
	l.bytes -= rowOverhead
}

const rowOverhead = 64

// contentOf is the size of what can be large in a row.
func contentOf(row store.Row) int {
	switch r := row.(type) {
	case *store.Dedup:
		return len(r.Result) + len(r.Error)
	case *store.Dead:
		return len(r.Body) + len(r.Reason)
	case *store.Schedule:
		return len(r.Body)
	case *store.Parked:
		return len(r.Body)
	case *store.Outbox:
		return len(r.Body)
	case *store.OpLog:
		return len(r.Value)
	case *store.Intent:
		return len(r.Value)
	default:
		return 0
	}
}

// Number is the number of the batch that gathers now: what was put until now is
// durable when Durable says so of it.
func (l *Ledger) Number() uint64 { return l.number }

// Pending is the number of the batch whose durability everything accepted until
// now waits for.
func (l *Ledger) Pending() uint64 {
	if l.gathered() {
		return l.number
	}
	return l.number - 1
}

// Durable reports whether the batch with this number is durable.
func (l *Ledger) Durable(number uint64) bool { return number <= l.done }

// Bytes is roughly what the gathering batch holds.
func (l *Ledger) Bytes() int { return l.bytes }

// Prove makes the next batch be committed even if nothing changes: when it is
// durable, the caller was the partition's owner after this call.
func (l *Ledger) Prove() { l.proof = true }

func (l *Ledger) gathered() bool {
	return len(l.batch.Puts)+len(l.batch.Deletes)+len(l.touched) > 0 || l.proof
}

// Seal closes the gathering batch and returns it, unless it is empty or another
// one is in flight. The caller commits it and then calls Committed.
func (l *Ledger) Seal(now time.Time) (store.Batch, bool) {
	if l.inFlight || !l.gathered() {
		return store.Batch{}, false
	}
	for _, r := range l.touched {
		if r.name == task.LockRecord {
			l.index(r)
		}
		if r.version == 0 {
			l.batch.Deletes = append(l.batch.Deletes, &store.Record{Key: r.of.key, Name: r.name})
			continue
		}
		l.batch.Puts = append(l.batch.Puts, &store.Record{
			Key: r.of.key, Name: r.name, Version: r.version, Value: r.value, UpdatedAt: r.updatedAt, TaskID: r.taskID, Tx: r.tx,
			Escrow: r.counter != nil,
		})
	}
	l.Stamp(now)
	b := l.batch
	b.Part, b.Prev, b.Next = l.cfg.Part, l.sealed, l.head
	l.inFlight = true
	l.number++
	// The sealed batch keeps its slices: the next one is about as large.
	l.batch = store.Batch{
		Puts:    make([]store.Row, 0, len(b.Puts)+len(b.Puts)/4),
		Deletes: make([]store.Row, 0, len(b.Deletes)+len(b.Deletes)/4),
	}
	l.touched, l.proof = l.touched[:0], false
	clear(l.unmarked)
	l.bytes = 0
	l.sealed = b.Next
	return b, true
}

// index makes the index of locks say what becomes of the record of one.
func (l *Ledger) index(r *record) {
	held := store.Held(r.of.key, r.version)
	if r.version == 0 {
		l.batch.Deletes = append(l.batch.Deletes, held)
		return
	}
	l.batch.Puts = append(l.batch.Puts, held)
}

// Committed says that the batch in flight is durable. After a failed commit the
// ledger must be dropped and the partition claimed anew.
func (l *Ledger) Committed() {
	l.inFlight = false
	l.done = l.number - 1
	l.evict()
}
