// Package faulty is a store that goes wrong by plan: calls that fail before
// anything happened, calls that happen and are then reported as unknown, and
// calls that take long. It is a decorator over any driver, for tests and drills.
//
// # Invariants
//
//   - A call that fails with ErrInjected changed nothing.
//   - A call that fails with ErrUnknown was carried out by the store below, whose
//     own answer is lost; a reader learns from the fence what happened.
//   - The same seed and the same order of calls give the same faults.
//
// # Concurrency
//
// All methods may be called concurrently, as far as the store below allows it.
// The plan is asked by one call at a time.
package faulty
