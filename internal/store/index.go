package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// IndexPrefix begins the keys of an index. Beside its records an owner writes rows that are an index and no state: they say
// nothing that the op log and the records do not say, have no row in the op log, and
// are never shown as records. They are rows of the table record:
//
//   - gone: one for each delete of a record, by which its history is found;
//   - held: one for each lock that is held, by which a new owner finds it;
//   - expires: one for each parked task that expires, by time;
//   - since: from where on the first two are complete.
const IndexPrefix = task.ReservedPrefix + "index/"

// IsIndex reports whether a row of the table record is one of the index.
func IsIndex(key string) bool { return strings.HasPrefix(key, IndexPrefix) }

// AfterIndex is a key behind all rows of the index, and before all others that come
// after them.
const AfterIndex = task.ReservedPrefix + "index0"

const (
	gonePrefix  = IndexPrefix + "gone/"
	heldPrefix  = IndexPrefix + "held/"
	keyExpires  = IndexPrefix + "expires"
	nameGone    = task.ReservedPrefix + "gone/"
	nameHeld    = task.ReservedPrefix + "held"
	nameExpires = task.ReservedPrefix + "expires/"
	nameSince   = task.ReservedPrefix + "since"
)

// indexKey is the prefix and a key, or its hash where both would be too long: whoever
// reads the row compares what it points to.
func indexKey(prefix, key string) string {
	if len(prefix)+len(key) <= task.MaxKey && !strings.HasPrefix(key, "#") {
		return prefix + key
	}
	sum := sha256.Sum256([]byte(key))
	return prefix + "#" + hex.EncodeToString(sum[:])
}

// Gone is the row that says that the op log's row seq deleted a record. Those of one
// key come in order, the latest delete first.
func Gone(key, name string, seq uint64) *Record {
	return &Record{Key: indexKey(gonePrefix, key), Name: fmt.Sprintf("%s%016x", nameGone, ^seq), Version: seq, Value: []byte(name)}
}

// GoneOf is the part of the table with the deletes of a key that are before the op
// log's row seq.
func GoneOf(key string, before uint64) (from, to *Record) {
	from = Gone(key, "", before-1)
	return from, &Record{Key: from.Key + "\x00"}
}

// Held is the row that says that a lock is held under a token.
func Held(lock string, token uint64) *Record {
	return &Record{Key: indexKey(heldPrefix, lock), Name: nameHeld, Version: token, Value: []byte(lock)}
}

// AllHeld is the part of the table with the rows of Held.
func AllHeld() (from, to *Record) {
	return &Record{Key: heldPrefix}, &Record{Key: strings.TrimSuffix(heldPrefix, "/") + "0"}
}

// Expires is the row that says that the task of a parked row expires. Those of a
// partition come in the order of their times.
func Expires(at time.Time, seq uint64, id task.ID) *Record {
	name := fmt.Sprintf("%s%016x/%016x", nameExpires, uint64(max(0, at.UnixMicro())), seq)
	return &Record{Key: keyExpires, Name: name, Version: seq, Value: []byte(id.String())}
}

// ExpiresOf reads a row of Expires.
func ExpiresOf(row Row) (at time.Time, seq uint64, id task.ID, err error) {
	r, ok := row.(*Record)
	if !ok || r == nil {
		return at, 0, id, fmt.Errorf("%w: %T is no row of the index", task.ErrCorrupt, row)
	}
	digits, _, _ := strings.Cut(strings.TrimPrefix(r.Name, nameExpires), "/")
	micros, err := strconv.ParseInt(digits, 16, 64)
	if err != nil {
		return at, 0, id, fmt.Errorf("%w: row %q of the index: %w", task.ErrCorrupt, r.Name, err)
	}
	if id, err = task.ParseID(string(r.Value)); err != nil {
		return at, 0, id, fmt.Errorf("%w: row %q of the index: %w", task.ErrCorrupt, r.Name, err)
	}
	return time.UnixMicro(micros).UTC(), r.Version, id, nil
}

// AllExpires is the part of the table with the rows of Expires.
func AllExpires() (from, to *Record) {
	return &Record{Key: keyExpires}, &Record{Key: keyExpires + "\x00"}
}

// Since is the row that says from where on a part of the index is complete: what
// became of rows of the op log up to seq may not be in it.
func Since(index Index, seq uint64) *Record {
	return &Record{Key: IndexPrefix + "since/" + string(index), Name: nameSince, Version: seq + 1, Value: strconv.AppendUint(nil, seq, 10)}
}

// Index names a part of the index.
type Index string

// The parts.
const (
	IndexGone Index = "gone"
	IndexHeld Index = "held"
)

// SinceOf reads a row of Since; without one nothing is complete.
func SinceOf(row Row) (seq uint64, complete bool) {
	r, ok := row.(*Record)
	if !ok || r == nil || r.Version == 0 {
		return 0, false
	}
	return r.Version - 1, true
}
