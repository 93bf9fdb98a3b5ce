// Package faulty is a broker that goes wrong by plan: calls that fail before
// anything happened, calls that happen and are then reported as unknown, calls
// that happen twice, and calls that take long. It is a decorator over any driver,
// for tests and drills.
//
// # Invariants
//
//   - A call that fails with ErrInjected changed nothing.
//   - A call that fails with ErrUnknown was carried out by the broker below, whose
//     own answer is lost. Messages that a lost read had taken are kept, and given
//     by a later one.
//   - Repeat carries a publish, settle or declaration out a second time and
//     answers with the second result; a read gives what the one before it gave
//     once more, and then goes on. What is given again is never called fresh.
//   - The same seed and the same order of calls give the same faults.
//
// # Concurrency
//
// All methods may be called concurrently, as far as the broker below allows it.
// The plan is asked by one call at a time.
package faulty
