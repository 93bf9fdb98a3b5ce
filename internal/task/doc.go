// Package task is the vocabulary that every other package shares: tasks, their
// identities and timestamps, outcomes, leases, records, queue settings and the
// closed set of error codes. It holds data and pure functions only: no I/O, no
// goroutines, no clocks. Everything here is safe to copy; slices are shared, so
// whoever receives a value with a slice must not write through it.
package task
