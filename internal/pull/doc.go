// Package pull lets workers take tasks call by call, for programs that hold no
// stream: they lease, extend and answer.
//
// A worker that pulls has a session with dispatch like every other, so balancing,
// labels, health and fencing are the same. The session begins with the first call
// of Lease and lives by calls: when the worker has not called for its TTL, and no
// call of it waits, the session ends, and its leases with it, which is no failure
// of their tasks. Several processes may call under one worker ID and share the
// session.
//
// A worker gets tasks only while a call of it waits: what a call asks for are slots
// that dispatch may fill, and what it did not get it takes back when it ends. A task
// that comes when nobody waits any more is given back unbegun.
//
// Unless it asks for more, a lease of a worker that pulls has one task of a key, so
// each task stands for itself: its records are current when it is handed out, and it
// may be answered in any order with others. A worker may ask for batches: then several
// tasks of a key come in one answer, each with the lease that it follows, to be done
// and answered in this order. A batch is handed out and given back as a whole; it ends
// with the first task that is not done, and those behind that have gone back. A lease
// is named by an ID that holds the session's random key, so that nobody else can answer
// it by guessing.
//
// Concurrency: a Pool, its sessions and the calls that answer have a mutex each, taken
// in this order; no call into dispatch is made with a session's mutex held. Each session has one goroutine, which takes what
// dispatch sends; it belongs to the Pool, and Close waits for it.
package pull
