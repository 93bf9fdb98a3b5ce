package task

import (
	"crypto/sha256"
	"encoding/hex"
)

// LockRecord is the name of the record that a held lock is. Its key is the name of
// the lock.
const LockRecord = ReservedPrefix + "lock"

// Fence makes a write depend on the token of a lock. Where the lock is of the
// record's partition, the token must be the current one; elsewhere it must not be
// lower than any that a write to the same key has shown for this lock.
type Fence struct {
	Lock  string
	Token uint64
}

// Record is the name of the record in which a key keeps the highest token that it
// has seen of the fence's lock.
func (f *Fence) Record() string {
	sum := sha256.Sum256([]byte(f.Lock))
	return ReservedPrefix + "fence." + hex.EncodeToString(sum[:16])
}

// Validate reports whether the fence can be one.
func (f *Fence) Validate() error {
	switch {
	case f.Lock == "" || len(f.Lock) > MaxKey:
		return Errorf(CodeInvalidArgument, "a lock's name has 1 to %d bytes, that of the fence has %d", MaxKey, len(f.Lock)).WithField("fence.lock")
	case f.Token == 0:
		return Errorf(CodeInvalidArgument, "the fence has no token: give the one that came with the lock").WithField("fence.token")
	}
	return nil
}

// CheckRecordName refuses names of records that are the node's own, and says where
// these are changed.
func CheckRecordName(name string) error {
	switch {
	case name == LockRecord:
		return Errorf(CodeInvalidArgument, "record %q is a lock: see and change it with `fenfa lock`, or the API's LockService", name).WithField("name")
	case Reserved(name):
		return RefuseReserved("name", name)
	}
	return nil
}
