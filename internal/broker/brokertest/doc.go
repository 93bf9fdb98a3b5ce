// Package brokertest is the suite that every driver of package broker passes.
// A driver's test calls Run with a function that opens an empty broker, and
// RunUnreliable with one whose calls go wrong now and then. What a driver does
// not promise in its capabilities is not asked of it.
//
// # Invariants that the suite asserts
//
//   - What was confirmed is read, in the order of the publishes of one publisher,
//     in the same order by every reader, and until it is settled.
//   - What was settled is never read again once the settle is durable.
//   - One reader at a time: the newest of the highest epoch.
//   - One id, one message, and nobody is told so before the message is durable.
//   - A message that is called fresh was never handed out before.
//
// # Concurrency
//
// Tests run one after another; some start goroutines, and wait for them.
package brokertest
