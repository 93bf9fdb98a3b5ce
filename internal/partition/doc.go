// Package partition is the heart: it takes tasks from the broker in order, hands
// them to workers under leases, and commits what they answer.
//
// Tasks wait in lanes, one for each key and one for all without order, and lanes
// wait in classes, one for each placement that tasks ask for: what asks for a
// worker that is busy or missing holds nothing else up, and leaves the window for
// parked rows when that fills.
//
// Where a key waits for a worker of its own, its lane stands in that worker's line:
// a slot that comes free costs one question more than it is worth, however many
// lanes wait.
//
// Where a queue without order has a limit for each key, a task that its key has no room
// for leaves the line of its class and waits in a lane by its key, from which it comes
// back into the line: leases are made of tasks of many keys, and no key holds up others.
//
// core is a deterministic state machine without goroutines, locks, clocks or
// I/O: events are method calls that carry the time, effects are calls of the
// small env interface and the batches that the ledger seals. runtime feeds one
// core from a mailbox in one goroutine and carries its effects out. Engine runs
// all partitions of a node, keeps the queues' settings, and is what the server
// and the worker pool call.
//
// Invariants:
//   - A lane of one key has at most one lease out. The next one goes out after the
//     outcomes of the last are durable, or, a few leases ahead of that, to the worker
//     that did all of the last ones: it sees what it wrote itself, and nothing else
//     that is not durable.
//   - Whatever the answer to a worker, producer or reader depends on is durable
//     before the answer is sent.
//   - A lease goes to a worker that meets what its tasks and their queue ask for;
//     its tasks ask for the same.
//   - No more tasks of a key start in a queue without order than its limit for each key
//     allows beside those whose leases this owner has.
//   - A class without a free worker delays no other class; what it keeps in the store
//     is not read.
//   - A hand-out counts as a delivery unless the worker gives the task back unbegun;
//     a task that is given back again and again waits between its hand-outs.
//   - A task is settled with the broker only after its mark, or the row that it
//     moved to, is durable.
//   - Tokens of a partition only grow, also from owner to owner; an outcome whose
//     token is not that of an open lease changes nothing.
//   - After a failed commit nothing in memory is used any more: the partition is
//     claimed anew.
package partition
