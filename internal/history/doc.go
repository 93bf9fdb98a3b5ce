// Package history judges a run of the system by what clients, workers and an
// independent ledger saw of it: nothing confirmed is lost, nothing takes effect
// twice, order and fencing hold, records behave like one copy.
//
// A Recorder collects operations while a test, a drill or a demo runs; Encode
// and Decode move histories between processes; Check judges one and names every
// violation with the operations that show it.
//
// # Invariants
//
//   - Check is sound: it reports only what cannot happen in a system that keeps
//     its promises, whatever was delayed, crashed or recorded in part. Where an
//     operation was not recorded (its process was killed) it assumes the best.
//   - Check is a pure function of the history; the order of its entries does not
//     matter.
//
// Times are nanoseconds since the Unix epoch on one machine. An operation took
// place between its Start and its End.
//
// # Concurrency
//
// A Recorder may be used by any number of goroutines; each takes a Log of its
// own, so that they do not wait for each other. Everything else is data.
package history
