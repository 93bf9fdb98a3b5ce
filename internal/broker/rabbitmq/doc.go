// Package rabbitmq is the broker on RabbitMQ, 3.10 to 4.x: one quorum queue for
// each queue and partition. docs/brokers/rabbitmq.md describes what is declared on
// the server and what is guaranteed.
//
// # How it works
//
// The tasks of one publish call for one log travel as one message, a pack (pack.go),
// because a message costs far more than the bytes in it. A reader keeps a parcel for
// each message that it received: the tasks of a parcel have positions of their own
// and are settled one by one, and the message is acked when the last of them is.
//
// Each log has a lane: an AMQP channel with publisher confirms on which one
// goroutine writes, so that the order of publishes is the order of the log. Many
// messages of many callers are on their way at the same time, and each caller
// waits for the confirms of its own.
//
// Each reader has a goroutine with a channel of its own, which receives up to the
// prefetch ahead and tells the server what was settled. The server serves one
// subscriber of a queue at a time, and the next one when the channel of the one
// before is closed; so a reader closes its channel, and never only its
// subscription.
//
// Connections are few, and those that publish are not those that read, because a
// server short of memory stops reading from publishers. Type link keeps each of
// them up; type stream gathers the client's small writes. The control connection
// never publishes either: declarations, counts and what other nodes announce go over
// it through every alarm. What the driver itself has to publish, announcements and
// the state, goes over the first connection that publishes, and nobody who reads
// waits for it.
//
// # Invariants
//
//   - A message that was not confirmed is never called durable. When a channel
//     ends, what it had no answer for is unknown, and nothing that was queued behind
//     it in the same call is sent afterwards: a repeat of the call must not come
//     behind its own tail.
//   - A reader hands a task out once, under one position. A message that comes again
//     after the channel broke is recognized by its stamp, keeps its positions, and is
//     acked when they are settled. Positions only grow.
//   - The server is told that a message is settled only after Settle was called for
//     all of its tasks; where that gets lost, or the reader ends before, the message
//     comes again as a whole. What was settled of it the next reader of this process
//     knows (leftover), and the next process too if this one ended in order (state).
//     Everybody else must know it by what the tasks left: until when, Certain says.
//   - A backlog is counted in tasks by what this process did and inherited. What the
//     server has more or less than that is only an estimate, and never mixed in.
//   - A return arrives before the confirm of the same message and finds room, so a
//     confirm of a message for a queue that is gone is never taken for success.
//
// # Concurrency
//
// A lane's outlet, and a reader's subscription, belong to one goroutine each.
// log.mu and reader.mu are taken in this order; gauge.mu and leftover.mu are leaves.
// Close waits for all goroutines.
package rabbitmq
