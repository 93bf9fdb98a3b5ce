// Package dispatch keeps the sessions of workers and gives their slots to
// partitions.
//
// A worker has one session with a node. It begins with Register and ends when
// the worker leaves, stays silent, is replaced by a newer session of the same
// worker, or the node stops; the engine hears of every end exactly once, through
// WorkerGone, and after that nothing is assigned or sent to the session.
//
// A partition that wants to hand out tasks calls Assign, which picks a worker by
// the queue's policy and takes slots of it, then Send. When no worker has room the
// partition waits: as slots come free they are held for the partitions that wait,
// one each, first come first served and the queues of a worker in turns, and each
// is woken through Engine.Capacity. A held slot that is not fetched within two
// rounds of the detector is free again.
//
// Invariants, under Dispatcher.mu:
//   - a session's in-flight and held slots together never exceed its slots;
//   - a partition waits in a queue only while every active worker of the queue is
//     full, or, where the policy names the worker to wait for, that one is;
//   - a session is in the pools of its queues exactly while it may get something
//     new: while it is neither draining nor ended.
//
// Concurrency: one mutex guards sessions, pools and slots; the buffer of what
// goes out to a worker has a mutex of its own, so Send and Answer do not touch the
// first one. Order: Dispatcher.mu before outgoing.mu. The engine is always called
// without locks. One timer drives the detector; Close stops it and waits for it.
package dispatch
