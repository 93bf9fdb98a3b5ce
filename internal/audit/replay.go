package audit

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// replay is what the op log says of the records of one pass.
type replay struct {
	a      *auditor
	which  uint64 // this pass
	passes uint64 // of so many
	state  map[address]entry
	full   bool   // there are more than one pass may hold
	live   uint64 // records that are there
}

// address stands for a record: two hashes of key and name.
type address [2]uint64

// entry is the last row of a record.
type entry struct {
	version uint64
	digest  uint64 // of what the record must be
	seen    bool   // the record is there, or its row was lost
}

func newReplay(a *auditor, which, passes uint64) *replay {
	return &replay{a: a, which: which, passes: passes, state: make(map[address]entry)}
}

func (r *replay) address(key, name string) (at address, mine bool) {
	for i := range at {
		var h maphash.Hash
		h.SetSeed(r.a.seed[i])
		var size [8]byte
		binary.LittleEndian.PutUint64(size[:], uint64(len(key)))
		_, _ = h.Write(size[:]) // It never fails.
		_, _ = h.WriteString(key)
		_, _ = h.WriteString(name)
		at[i] = h.Sum64()
	}
	return at, at[0]%r.passes == r.which
}

// digest stands for the content of a record.
func (r *replay) digest(value []byte, updatedAt task.Timestamp, id task.ID, escrow bool) uint64 {
	var h maphash.Hash
	h.SetSeed(r.a.seed[0])
	var stamp [8]byte
	binary.LittleEndian.PutUint64(stamp[:], uint64(updatedAt))
	_, _ = h.Write(stamp[:]) // It never fails.
	_, _ = h.Write(id[:])
	if escrow {
		_ = h.WriteByte(1)
	}
	_, _ = h.Write(value)
	return h.Sum64()
}

// apply takes the next row. The first walk along the log only counts once there are
// too many records, and leaves the versions to the passes that follow.
func (r *replay) apply(row *store.OpLog, first bool) error {
	r.count(row)
	if r.full {
		return nil
	}
	at, mine := r.address(row.Key, row.Name)
	if !mine {
		return nil
	}
	old := r.state[at]
	if old.version != row.Before && row.Seq > r.a.judged && !r.explained(old.version, row.Before) {
		err := r.a.found(Difference{
			Kind: KindVersion, Seq: row.Seq, Key: row.Key, Name: row.Name,
			Expected: "version before " + version(old.version), Found: version(row.Before),
		})
		if err != nil {
			return err
		}
	}
	if row.Op == store.OpDelete {
		delete(r.state, at)
		return nil
	}
	r.state[at] = entry{version: row.Seq, digest: r.digest(row.Value, row.HLC, row.TaskID, row.Op == store.OpEscrow)}
	if first && len(r.state) > r.a.cfg.Records {
		r.full, r.state, r.a.judged = true, nil, row.Seq
	}
	return nil
}

// explained reports whether rows that are missing, and named already, explain that
// a row follows another version than the last one: they wrote or deleted it.
func (r *replay) explained(last, before uint64) bool {
	if before != 0 {
		return r.a.gaps.has(before)
	}
	n := len(r.a.gaps.ranges)
	return n > 0 && r.a.gaps.ranges[n-1][1] > last
}

// count follows how many records there are, as far as rows say so themselves.
func (r *replay) count(row *store.OpLog) {
	switch {
	case row.Op == store.OpDelete:
		r.live -= min(1, r.live)
	case row.Before == 0:
		r.live++
	}
}

func version(v uint64) string {
	if v == 0 {
		return "0 (none)"
	}
	return fmt.Sprint(v)
}
