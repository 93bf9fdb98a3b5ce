// Package dispatch keeps the sessions of workers and gives their slots to
// partitions.
//
// A worker has one session with a node. It begins with Register and ends when
// the worker leaves, stays silent, is replaced by a newer session of the same
// worker, or the node stops; the engine hears of every end exactly once, through
// WorkerGone, and after that nothing is assigned or sent to the session.
//
// A partition that wants to hand out tasks calls Assign, which picks a worker by
// the queue's policy from the pool of the queue and the placement, and takes slots
// of it, then Send. When no worker of the pool has room the partition stands in the
// pool's line: as slots come free they are held for those who wait, one each, and
// each is woken through Engine.Capacity. A held slot that is not fetched within two
// rounds of the detector is free again. A slot goes to the queue that has the
// fewest of the worker's slots for its share, of equal ones to that whose turn it
// is by share, and within the queue to who came first, whatever its placement.
//
// Where keys wait for workers of their own, a partition waits for certain workers,
// each of which wakes it by name: it asks again only for what that worker refused.
// When keys may have other workers than before, because one came, went or has
// another weight, who waits is woken once by any that has room, to ask for all.
//
// Slots and prefetch. A worker may hold leases beyond its slots, which wait there
// until one is free. They are given out only when no worker of the pool has a real
// slot; a key that waits for a worker of its own takes that one's.
//
// Weights. A worker's own weight counts, or that which SetWeight gave its ID. It
// begins at a tenth and rises evenly over the slow start. Weights are relative: a
// fleet that starts together is even, and a full fleet uses every slot of a
// newcomer. Right after the start of the node all workers are new to it, and none
// starts slowly. A session that replaces one that lives still, or whose stream broke a
// moment ago, goes on where that was, for it is most likely the same process; one
// that follows a clean end, a drain or a death is a new process and starts slowly.
//
// Ejection. A worker of whose attempts clearly more fail in a queue than of the
// others' stands aside in that queue's pools, 5 s times the number of ejections in a
// row, and starts slowly afterwards. One whose sessions broke again and again
// stands aside in all of its queues when it connects. A placement whose workers are
// all ejected uses them all the same. A reconnect ends no ejection; a new process
// begins anew.
//
// The detector runs once a round. It measures silence in a time that stands still
// while it is late itself, and after that judges nobody for a heartbeat interval:
// what workers said meanwhile is still to be read.
//
// Invariants, under Dispatcher.mu:
//   - a session's in-flight and held slots together never exceed its slots and its
//     prefetch, except just after it lowered that;
//   - a partition stands in line only while every worker of the pool is full, or,
//     where keys wait for workers of their own, each of those that it waits for;
//   - a session's members are in the pools of their queues exactly while it may get
//     something new: while it is neither quiet nor draining nor ended. A worker that
//     is suspect stays in them, with no free slots;
//   - never more than half of the members of a queue are ejected, so never a lone one;
//   - pools that nobody asks of and records of workers that say nothing go away.
//
// Concurrency: one mutex guards sessions, pools and slots; the buffer of what
// goes out to a worker has a mutex of its own, so Send and Answer do not touch the
// first one. Order: Dispatcher.mu before outgoing.mu. The engine is always called
// without locks. One timer drives the detector; Close stops it and waits for it.
//
// Costs: Assign and Release allocate nothing. A slot that is taken or given back
// is counted in every pool that its worker sits in, so a node with very many
// placements in use at a time pays for each of them.
package dispatch
