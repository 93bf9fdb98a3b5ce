package audit

import "fmt"

// Kind says what is wrong at a place.
type Kind string

// The kinds.
const (
	KindGap       Kind = "gap"       // rows of the op log are missing
	KindChain     Kind = "chain"     // a row is not what its hash was made of, or does not follow the row before it
	KindTimestamp Kind = "timestamp" // a row is not later than the one before it, or later than the head
	KindRow       Kind = "row"       // a row says what no owner writes
	KindVersion   Kind = "version"   // a row does not follow the version of its record
	KindHead      Kind = "head"      // the head of the partition and the end of the log do not agree
	KindMissing   Kind = "missing"   // a record is not there that the log says is
	KindExtra     Kind = "extra"     // a record is there that the log knows nothing of
	KindDiffers   Kind = "differs"   // a record is not what the log says
	KindIntent    Kind = "intent"    // a record is held by a transaction that nobody knows of
	KindBranch    Kind = "branch"    // a transaction is undecided and holds nothing
	KindIndex     Kind = "index"     // the index by which history is found misses a delete
	KindMark      Kind = "mark"      // the mark of the task that wrote a record does not agree
	KindForeign   Kind = "foreign"   // a key that belongs to another partition
	KindCorrupt   Kind = "corrupt"   // what is stored cannot be read
)

// Difference is one thing that is not as it must be.
type Difference struct {
	Partition int
	Kind      Kind
	Seq       uint64 // number of the op log that it is about; 0: none
	Key, Name string // of the record that it is about; empty: none
	Expected  string
	Found     string
}

// String is the difference as one line.
func (d *Difference) String() string {
	at := fmt.Sprintf("partition %d", d.Partition)
	if d.Seq != 0 {
		at += fmt.Sprintf(", row %d", d.Seq)
	}
	if d.Key != "" || d.Name != "" {
		at += fmt.Sprintf(", record %q of key %q", d.Name, d.Key)
	}
	return fmt.Sprintf("%s: %s: expected %s, found %s", at, d.Kind, d.Expected, d.Found)
}
