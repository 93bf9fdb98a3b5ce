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
// A lease of a worker that pulls has one task of a key, so each task stands for
// itself: its records are current when it is handed out, and it may be answered in
// any order with others. It is named by an ID that holds the session's random key,
// so that nobody else can answer it by guessing.
//
// Concurrency: a Pool and its sessions have a mutex each; no call into dispatch is
// made with a session's mutex held. Each session has one goroutine, which takes what
// dispatch sends; it belongs to the Pool, and Close waits for it.
package pull
