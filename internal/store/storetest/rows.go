package storetest

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Tables returns all tables.
func Tables() []store.Table {
	return []store.Table{
		store.TableRecord, store.TableDedup, store.TableOpLog, store.TableOutbox,
		store.TableSchedule, store.TableParked, store.TableAttempt, store.TableDead,
		store.TableBranch, store.TableIntent, store.TableTxn,
	}
}

// nastyStrings are hard on encodings of keys: empty, zero bytes, 0xff,
// prefixes of each other, long, not ASCII, not UTF-8.
func nastyStrings() []string {
	return []string{
		"", "\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "\xff", "\xff\xff", "\xff\x00",
		"a", "a\x00", "a\x00\x00", "a\x00\x01", "a\x00b", "a\x00\xff", "a\x01", "a\xff", "aa", "ab", "b",
		"sku-1", "sku-10", "sku-2", "订单", "订单\x00", "é", "e\u0301", "\xc3\x28",
		strings.Repeat("k", 127), strings.Repeat("k", 128), strings.Repeat("\x00", 64),
	}
}

func nastyNumbers() []uint64 {
	return []uint64{0, 1, 2, 127, 128, 255, 256, 1 << 16, 1<<32 - 1, 1 << 32, math.MaxInt64, 1 << 63, math.MaxUint64}
}

func nastyTimes() []time.Time {
	var times []time.Time
	for _, us := range []int64{-62135596800000000, -1_000_000, -1, 0, 1, 255, 256, 1_700_000_000_000_000, 1_700_000_000_000_001, 253402300799999999} {
		times = append(times, time.UnixMicro(us).UTC())
	}
	return times
}

func nastyIDs() []task.ID {
	ids := []task.ID{{}, {15: 1}, {0: 1}, {0: 0xff}, {0: 0x80}}
	ids = append(ids, task.DeriveID("a"), task.DeriveID("b"))
	var last task.ID
	for i := range last {
		last[i] = 0xff
	}
	return append(ids, last)
}

// NastyRows returns rows of one table with keys that are hard to sort, in no
// particular order, no two with the same key. Their other fields are random.
func NastyRows(rng *rand.Rand, table store.Table) []store.Row {
	var rows []store.Row
	add := func(r store.Row) { rows = append(rows, r) }
	switch table {
	case store.TableRecord:
		for _, key := range nastyStrings() {
			for _, name := range []string{"", "\x00", "stock", "stock\x00", "\xff"} {
				add(withValues(rng, &store.Record{Key: key, Name: name}))
			}
		}
	case store.TableDedup:
		for _, id := range nastyIDs() {
			add(withValues(rng, &store.Dedup{ID: id}))
		}
	case store.TableOpLog:
		for _, seq := range nastyNumbers() {
			add(withValues(rng, &store.OpLog{Seq: seq}))
		}
	case store.TableOutbox:
		for _, seq := range nastyNumbers() {
			add(withValues(rng, &store.Outbox{Seq: seq}))
		}
	case store.TableSchedule:
		for _, due := range nastyTimes() {
			for _, seq := range nastyNumbers() {
				add(withValues(rng, &store.Schedule{Due: due, Seq: seq}))
			}
		}
	case store.TableParked:
		for _, queue := range []string{"q", "q.1", "q\x00", "qq"} {
			for _, key := range nastyStrings() {
				add(withValues(rng, &store.Parked{Queue: queue, Key: key, Seq: rng.Uint64()}))
				add(withValues(rng, &store.Parked{Queue: queue, Key: key, Seq: 0}))
				if key != "" {
					add(withValues(rng, &store.Parked{Queue: queue, Class: key, Seq: 0}))
					add(withValues(rng, &store.Parked{Queue: queue, Key: "k", Class: key, Seq: rng.Uint64()}))
				}
			}
		}
	case store.TableAttempt:
		for _, id := range nastyIDs() {
			add(withValues(rng, &store.Attempt{ID: id}))
		}
	case store.TableDead:
		for _, queue := range nastyStrings() {
			for _, seq := range nastyNumbers() {
				add(withValues(rng, &store.Dead{Queue: queue, Seq: seq}))
			}
		}
	case store.TableBranch:
		for _, id := range nastyIDs() {
			add(withValues(rng, &store.Branch{Tx: id}))
		}
	case store.TableIntent:
		for _, id := range nastyIDs() {
			for _, key := range nastyStrings() {
				for _, name := range []string{"", "\x00", "stock", "\xff"} {
					add(withValues(rng, &store.Intent{Tx: id, Key: key, Name: name}))
				}
			}
		}
	case store.TableTxn:
		for _, id := range nastyIDs() {
			add(withValues(rng, &store.Txn{Tx: id}))
		}
	}
	rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return rows
}

// RandomRow returns a row of one table whose key is one of about a hundred, so
// that workloads meet their own rows again.
func RandomRow(rng *rand.Rand, table store.Table) store.Row {
	return withValues(rng, randomKey(rng, table))
}

func randomKey(rng *rand.Rand, table store.Table) store.Row {
	words := []string{"a", "a\x00", "ab", "b", "\xff", "订单"}
	word := func() string { return words[rng.IntN(len(words))] }
	id := task.ID{0: byte(rng.IntN(10)), 15: byte(rng.IntN(10))}
	seq := rng.Uint64N(100)
	switch table {
	case store.TableRecord:
		return &store.Record{Key: word(), Name: word() + word()}
	case store.TableDedup:
		return &store.Dedup{ID: id}
	case store.TableOpLog:
		return &store.OpLog{Seq: seq}
	case store.TableOutbox:
		return &store.Outbox{Seq: seq}
	case store.TableSchedule:
		return &store.Schedule{Due: time.UnixMicro(rng.Int64N(20) - 10).UTC(), Seq: seq % 5}
	case store.TableParked:
		return &store.Parked{Queue: word(), Key: word(), Class: strings.Repeat(word(), rng.IntN(2)), Seq: seq % 4}
	case store.TableAttempt:
		return &store.Attempt{ID: id}
	case store.TableBranch:
		return &store.Branch{Tx: id}
	case store.TableIntent:
		return &store.Intent{Tx: task.ID{0: id[0] % 2}, Key: word(), Name: word()}
	case store.TableTxn:
		return &store.Txn{Tx: id}
	default:
		return &store.Dead{Queue: word(), Seq: seq % 20}
	}
}

// withValues changes the fields outside the key of r, each to absent at times,
// and returns r.
func withValues(rng *rand.Rand, r store.Row) store.Row {
	v := values{rng}
	switch r := r.(type) {
	case *store.Record:
		r.Version, r.Value, r.UpdatedAt, r.TaskID, r.Tx = v.number(), v.bytes(), v.stamp(), v.id(), v.id()
		r.Escrow = rng.IntN(3) == 0
	case *store.Dedup:
		r.State = task.State(rng.IntN(9))
		r.Fingerprint, r.Queue, r.Key, r.Ref = v.number(), v.string(), v.string(), v.number()
		r.Due, r.CreatedAt, r.FinishedAt, r.Expires = v.time(), v.stamp(), v.stamp(), v.time()
		r.Attempts, r.Deliveries, r.Worker = v.count(), v.count(), v.string()
		r.Type = v.string()
		r.Took = time.Duration(v.number()>>1%1e12) * time.Microsecond
		r.Result, r.Error = v.bytes(), v.string()
	case *store.OpLog:
		r.HLC, r.Op, r.Key, r.Name = v.stamp(), store.Op(1+rng.IntN(3)), v.string(), v.string()
		r.Before, r.After, r.Value, r.TaskID = v.number(), v.number(), v.bytes(), v.id()
		r.Attempt, r.Node, r.Worker, r.Tx = v.count(), v.string(), v.string(), v.id()
		if rng.IntN(2) == 0 {
			r.After = r.Seq
		}
		for i := range r.Hash {
			r.Hash[i] = byte(rng.Uint32())
		}
	case *store.Outbox:
		r.Body = v.bytes()
	case *store.Schedule:
		r.Body = v.bytes()
	case *store.Parked:
		r.Body = v.bytes()
	case *store.Attempt:
		r.Attempts, r.Deliveries, r.NextAt, r.Tries, r.Requeues = v.count(), v.count(), v.time(), v.tries(), v.count()
	case *store.Dead:
		r.Body, r.Reason, r.DiedAt, r.Attempts, r.Deliveries, r.Tries, r.Requeues = v.bytes(), v.string(), v.stamp(), v.count(), v.count(), v.tries(), v.count()
	case *store.Branch:
		r.State, r.Home, r.Began, r.At, r.Deadline = v.txState(), v.count(), v.stamp(), v.stamp(), v.time()
		r.TaskID, r.Attempt, r.Worker = v.id(), v.count(), v.string()
	case *store.Intent:
		r.Op, r.Expected, r.Value, r.Delta = store.IntentOp(1+rng.IntN(4)), v.number(), v.bytes(), rng.Int64()>>rng.IntN(64)-1<<20
	case *store.Txn:
		r.State, r.Began, r.At, r.TaskID = v.txState(), v.stamp(), v.stamp(), v.id()
		for range rng.IntN(4) {
			r.Parts = append(r.Parts, v.count())
		}
	}
	return r
}

type values struct{ rng *rand.Rand }

func (v values) absent() bool { return v.rng.IntN(3) == 0 }

func (v values) number() uint64 {
	if v.absent() {
		return 0
	}
	return v.rng.Uint64() >> v.rng.IntN(64)
}

func (v values) count() int { return int(v.number() % 10_000) }

func (v values) bytes() []byte {
	if v.absent() {
		return nil
	}
	b := make([]byte, 1+v.rng.IntN(60))
	for i := range b {
		b[i] = byte(v.rng.Uint32())
	}
	return b
}

func (v values) string() string { return string(v.bytes()) }

func (v values) id() (id task.ID) {
	if v.absent() {
		return id
	}
	for i := range id {
		id[i] = byte(v.rng.Uint32())
	}
	return id
}

func (v values) time() time.Time {
	if v.absent() {
		return time.Time{}
	}
	return time.UnixMicro(v.rng.Int64N(4e15) - 1e15).UTC()
}

func (v values) stamp() task.Timestamp { return task.Timestamp(v.number()) }

func (v values) txState() store.TxState { return store.TxState(1 + v.rng.IntN(3)) }

func (v values) tries() []store.Try {
	var tries []store.Try
	for range v.rng.IntN(4) {
		tries = append(tries, store.Try{At: v.stamp(), Took: time.Duration(v.rng.Int64N(3)) * 1_234_567 * time.Microsecond, Worker: v.string(), Error: v.string()})
	}
	return tries
}

// Compare orders two rows of one table by their keys as the row types'
// documentation says.
func Compare(a, b store.Row) int {
	switch a := a.(type) {
	case *store.Record:
		b := b.(*store.Record)
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Name, b.Name))
	case *store.Dedup:
		return a.ID.Compare(b.(*store.Dedup).ID)
	case *store.OpLog:
		return cmp.Compare(a.Seq, b.(*store.OpLog).Seq)
	case *store.Outbox:
		return cmp.Compare(a.Seq, b.(*store.Outbox).Seq)
	case *store.Schedule:
		b := b.(*store.Schedule)
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Seq, b.Seq))
	case *store.Parked:
		b := b.(*store.Parked)
		return cmp.Or(strings.Compare(a.Queue, b.Queue), strings.Compare(a.Key, b.Key), strings.Compare(a.Class, b.Class), cmp.Compare(a.Seq, b.Seq))
	case *store.Attempt:
		return a.ID.Compare(b.(*store.Attempt).ID)
	case *store.Dead:
		b := b.(*store.Dead)
		return cmp.Or(strings.Compare(a.Queue, b.Queue), cmp.Compare(a.Seq, b.Seq))
	case *store.Branch:
		return a.Tx.Compare(b.(*store.Branch).Tx)
	case *store.Intent:
		b := b.(*store.Intent)
		return cmp.Or(a.Tx.Compare(b.Tx), strings.Compare(a.Key, b.Key), strings.Compare(a.Name, b.Name))
	case *store.Txn:
		return a.Tx.Compare(b.(*store.Txn).Tx)
	default:
		panic("storetest: a row type that the suite does not know")
	}
}

func sorted(rows []store.Row) []store.Row {
	s := slices.Clone(rows)
	slices.SortFunc(s, Compare)
	return s
}
