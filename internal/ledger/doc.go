// Package ledger keeps one partition's state true. It holds the owner's view of
// the records in memory, validates outcomes against it, and turns what they
// change into the rows of one fenced batch: records, op log, outbox, marks. It
// knows no driver and does no I/O; the partition hands its batches to the store.
//
// Invariants:
//   - The view is current, because only the partition's owner writes.
//   - Batches are numbered; at most one is in flight while the next one gathers.
//     What is not durable is used only to build later batches of the same
//     pipeline. Answers wait for Durable.
//   - A record's version is the op-log number of the write, so it never repeats.
//   - Every change of a record has one op-log row, chained by hash to the one
//     before; op-log numbers have no gaps.
//   - A record declared escrow stays within its bounds whatever becomes of the
//     undecided transactions that add to it; they do not hold it for each other.
//
// A Ledger belongs to one goroutine.
package ledger
