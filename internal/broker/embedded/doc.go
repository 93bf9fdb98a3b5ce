// Package embedded is the broker on the node's own engine (package kv): no
// server, one directory, and one fsync for everybody who publishes at the same
// moment.
//
// # How it works
//
// Each queue and partition has a log: rows by position. Publish assigns the
// positions of all its messages under one short lock and hands the rows to kv
// under the same lock, so the order of positions is the order in which publishes
// are confirmed. What became durable is appended to a tail in memory, from which
// a reader that keeps up is served; one that fell behind reads pages from the
// disk, from its cursor, until it meets the tail again.
//
// An index row by task id is written with each message and outlives it by the
// queue's dedupe window. A second publish of an id finds it. So that this does not
// cost a read for each message, package recent remembers the latest ids.
//
// # Invariants
//
//   - An id is claimed in memory from the moment that a publish looks at it until
//     its row is durable. A second publish of a claimed id waits for the first, so
//     nothing is called a duplicate before it is durable.
//   - Positions are never used twice, also across restarts; a position that is not
//     in the log any more was settled.
//   - No message is handed out before it is durable, and none is called fresh
//     unless its position is at or above the durable mark of what may have been
//     handed out.
//   - All rows below a log's head are settled, so no read begins below it.
//
// # Concurrency
//
// Broker.order guards claims, the recent ids and the assignment of positions.
// Each log has two locks: mu for its tail, settleMu for what its reader holds.
// They are taken in the order order, settleMu, mu. Callbacks of kv take mu only.
package embedded
