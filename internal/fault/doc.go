// Package fault makes the calls of a port go wrong by plan: for decorators that
// fail before anything happens, carry a call out and lose its answer, carry it out
// twice, or take long. Tests and drills put such a decorator around a driver.
//
// # Invariants
//
//   - A call that fails with ErrInjected changed nothing.
//   - A call that fails with ErrUnknown was carried out, and its own answer is lost.
//   - The same seed and the same order of calls give the same faults.
//
// # Concurrency
//
// All methods of an Injector may be called concurrently. The plan is asked by one
// call at a time.
package fault
