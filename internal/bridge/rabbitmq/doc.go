// Package rabbitmq moves messages between RabbitMQ and fenfa, for those who adopt
// fenfa step by step: In takes the messages of a queue that exists and submits each
// as a task, Out publishes the tasks of a fenfa queue. docs/brokers/bridge.md says
// what becomes of each property, and what is guaranteed.
//
// # How it works
//
// In consumes with many unacked messages. Type lanes lets of each key only the
// first message be submitted, and the next one when that is settled, so a refusal
// or a lost connection never lets a later message of a key overtake. What may be
// submitted travels in batches. Type window remembers what was settled and acks it,
// many at once where nothing is missing between. A connection that breaks ends a
// pump with all that it held; the server delivers that again, and the tasks' IDs
// tell what is there already.
//
// Out is a worker whose handler publishes and waits for the confirm. While there is
// no connection, or the server takes no messages, the worker is quiet.
//
// # Invariants
//
//   - A message is acked only after fenfa confirmed its task, or answered that it is
//     there already, or after the policy for refused messages has kept it.
//   - Of the messages of one key that one consumer gets, none is submitted before all
//     earlier ones are settled.
//   - A task of Out is done only after the server confirmed its message, and where
//     mandatory is set, after no return came before that.
//
// # Concurrency
//
// A pump is one goroutine, which owns lanes and window; submits run in goroutines of
// their own and answer over a channel, and the pump waits for them before it ends.
// Counts may be read at any time.
package rabbitmq
