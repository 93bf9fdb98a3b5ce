package task

// Limits of records, in bytes.
const (
	MaxRecordName  = 128
	MaxRecordValue = 256 << 10
	MaxTravel      = 16 << 10 // records that travel with a lease, all together
	// MaxTransaction is how many records a transaction across partitions may use, and
	// MaxTransactionBytes what its values may have together.
	MaxTransaction      = 256
	MaxTransactionBytes = 3 << 20
)

// Record is a named value of an entity. Its version is the op-log number of the
// write that made it, so versions of one record only grow, also across delete
// and re-create.
type Record struct {
	Key       string
	Name      string
	Version   uint64 // 0: the record does not exist
	Value     []byte
	UpdatedAt Timestamp
	TaskID    ID // the task that wrote it; zero: a direct write
	// Escrow says that the value is a Counter. ReservedLow and ReservedHigh are what
	// undecided transactions may take from it, at most 0, and add to it, at least 0.
	Escrow                    bool
	ReservedLow, ReservedHigh int64
}

// Size is the number of bytes that the record is counted as against limits.
func (r *Record) Size() int { return 48 + len(r.Key) + len(r.Name) + len(r.Value) }

// Write is one change of a record, valid only while the record's version is the
// expected one.
type Write struct {
	Key      string // empty: the task's own key
	Name     string
	Expected uint64 // the version that was read; 0: the record must not exist
	Value    []byte
	Delete   bool
	// Chained says that Expected is not a version but that the write builds on
	// an earlier write of the same record within the same lease.
	Chained bool
	// Escrow is set for a record that is declared escrow; Delta is what EscrowAdd adds,
	// whatever the record's version is.
	Escrow EscrowOp
	Delta  int64
	// Fence makes a direct write depend on a lock's token; nil: it does not.
	Fence *Fence
	// By says who makes a direct write, for the op log. A task's writes have its worker.
	By string
}

// Read is one version that an outcome depends on without writing it.
type Read struct {
	Key     string
	Name    string
	Version uint64
	Chained bool // builds on an earlier write within the same lease
}

// ValidateRecord reports whether key and name can address a record that holds
// size bytes.
func ValidateRecord(key, name string, size int) error {
	switch {
	case key == "" || len(key) > MaxKey:
		return Errorf(CodeInvalidArgument, "a record's key has 1 to %d bytes, this one has %d", MaxKey, len(key)).WithField("key")
	case name == "" || len(name) > MaxRecordName:
		return Errorf(CodeInvalidArgument, "a record's name has 1 to %d bytes, this one has %d", MaxRecordName, len(name)).WithField("name")
	case size > MaxRecordValue:
		return Errorf(CodeTooLarge, "record %q of key %q has %d bytes; at most %d are allowed", name, clip(key, 64), size, MaxRecordValue).WithField("value")
	}
	return nil
}
