// Package recent tells ids that were certainly never accepted from all others, by
// memory alone. Brokers that look up every id before they take a task under it use
// it to spare the disk: nearly all ids are fresh ones of version 7.
//
// # Invariants
//
//   - An id that was added is never called unaccepted.
//   - Memory is bounded, whatever is added.
//
// # Concurrency
//
// IDs has no lock of its own: its user guards it.
package recent
