// Package indexed remembers, for a broker that cannot, what was published to it:
// a decorator that answers a repeated publish as a duplicate and finds tasks by
// their id. Its memory is the node's own engine (package kv).
//
// # How it works
//
// For each id that the broker below confirmed there is a row: queue, partition,
// fingerprint and time. Publish looks at the rows before it calls the broker;
// package recent spares nearly all of these reads. The rows are written after the
// confirm and lazily, so nobody waits for this node's disk: until a row is durable,
// its id is held in memory.
//
// # What it promises, and what not
//
// The rows are a memory, and no part of what makes a task durable or its effect
// happen once:
//
//   - Rows of the last milliseconds are lost with the node's process.
//   - A publish whose result is unknown leaves no row, so that its repeat reaches
//     the broker. The broker may have both.
//   - Each node remembers what was published through it. A task that is submitted
//     again through another node reaches the broker again, and Locate does not know
//     tasks of other nodes.
//
// In all three cases a task may be in the log twice, which Capabilities.Repeats
// says: the engine then recognizes the second one by the mark that the first one
// left in the store, and it takes no effect. What the rows add is the answer:
// "duplicate" or "another task under this id" at the submit, and "queued" for a
// task that waits in the log.
//
// Locate knows neither positions nor what was settled, and forgets a task when the
// dedupe window of its queue is over, also while it waits.
//
// # Invariants
//
//   - An id is claimed in memory from the moment that a publish looks at it until
//     its row is durable or its publish failed. A publish that finds ids of another
//     one under way waits for that one before it publishes anything, so that
//     nothing is called a duplicate before it is durable, and the messages of one
//     call stay in order.
//   - A publish holds no claims while it waits for another one.
//   - No row of an id is deleted after a publish replaced it.
//
// # Concurrency
//
// Broker.order guards claims, the recent ids, and the order in which rows are
// handed to kv. Callbacks of kv take it; so nothing waits for kv while holding it.
package indexed
