// Package lock decides who holds the locks of one partition. A Table is a
// deterministic state machine without goroutines, clocks or I/O: events are method
// calls that carry the time, effects are calls of a Journal, which keeps the
// records of held locks, and of the tickets' Answer.
//
// A lock that is held is a record of the key that is its name. The record's version
// is the holder's token: it comes from the partition's op log, so that the tokens of
// a lock only grow, also across release, expiry and owners. A free lock has no
// record.
//
// Invariants:
//   - A lock has one holder at most, and the token of its record is the holder's.
//   - A free lock has nobody in line: who waits longest gets it at once.
//   - A grant counts only for a short while until the holder renews it once. So a
//     caller that is gone without a trace keeps a lock from others for that while at
//     most.
//   - A deadline runs only once the grant is durable. After a new claim of the
//     partition each held lock has its whole TTL again, because the owner cannot
//     know how much of it was left.
//
// What a Table answers must not reach a caller before the journal's records are
// durable; whoever feeds it sees to that, and then calls Settled. A Table belongs
// to one goroutine.
package lock
