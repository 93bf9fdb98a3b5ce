package watch

import (
	"time"

	"github.com/fenfa/fenfa/internal/store"
)

// Kind says what a Message brings.
type Kind uint8

// The kinds.
const (
	KindChanges  Kind = iota + 1 // rows of the op log
	KindRecords                  // records as they are, of a watch that asked for them
	KindProgress                 // nothing but how far the watch is
	KindLag                      // that the watch is far behind
)

// Message is what a watch hands out next. Rows and records belong to several
// readers: they must not be changed.
type Message struct {
	Kind    Kind
	Changes []*store.OpLog  // of one partition, in order
	Records []*store.Record // of one partition, in the order of key and name
	// Position is how far the watch is in that partition after this message.
	Position Position

	// Positions are those of all partitions, with KindProgress.
	Positions []Position
	// Live says, once, that everything that was durable when the watch began, or when
	// the last record was read, has been handed out.
	Live bool
	// Pings are those that are answered.
	Pings []uint64

	Lag Lag
}

// Lag is how far a watch is behind what is durable.
type Lag struct {
	Entries uint64        // of the op log
	Age     time.Duration // of what it hands out now
}
