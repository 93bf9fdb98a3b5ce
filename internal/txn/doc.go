// Package txn holds the rules of a transaction across partitions, apart from
// records and rows: what its partitions tell each other, and the state machine of
// its coordinator, which lives in the partition that is home.
//
// Home asks every other participant to prepare: to check versions and to hold the
// records. When all have, home decides with one commit of its own, which is the
// commit point, and tells everybody to apply. Whoever refuses, or does not answer
// in time, makes home abort. Nobody ever waits for a record: who meets one that is
// held gives up and tries again.
//
// A participant that hears nothing asks home, which answers with its decision. If
// there is none and nobody works on one, home decides on an abort and keeps that, so
// that whoever comes later finds it.
//
// Invariants:
//   - A decision is made once. It is told only when it is durable.
//   - A participant says that it is prepared only when that is durable, and then
//     never changes its mind by itself.
//   - A committed transaction is remembered until every participant has confirmed,
//     durably, that it has applied it. Applying twice changes nothing.
//
// Messages may be lost, repeated and late. A Coordinator does no I/O, reads no clock,
// and belongs to one goroutine.
package txn
