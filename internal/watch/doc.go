// Package watch makes streams of the op logs: every durable change of the records
// that a watch asks for, in the order of its partition, none left out and none
// twice, from any number on that the log still has.
//
// A Tail is the end of one partition's op log. Its owner tells it what has become
// durable; while somebody watches, it keeps the latest rows in memory, bounded in
// rows and bytes. A Watch is a cursor for each partition: it takes rows from the
// tails, and what is older from the store, a page at a time. Whoever reads slowly
// holds a page of memory and no more, and is told how far behind it is.
//
// Invariants:
//   - A row is handed out only after the commit that wrote it is durable.
//   - A cursor moves from number to number: a number that is missing ends the watch
//     with an error and is never passed over.
//   - With Request.Initial, the records that are handed out first and the changes that
//     follow them together are the state: a record that changes while they are read is
//     left to its change.
//   - A ping is answered only after everything that was durable when it came.
//
// A Hub and a Tail may be used by several goroutines. A Watch belongs to one, but
// for Ping.
package watch
