// Package codec is the stored form of the ledger's rows, version 1, which
// docs/formats/store.md describes. Drivers that keep bytes share it.
//
// # Invariants
//
//   - Keys of one table, compared bytewise, sort as the row type's documentation
//     says, and no key is a prefix of another.
//   - Decode reads exactly what the Append functions write and never panics: any
//     other bytes give an error that wraps task.ErrCorrupt.
//   - An encoded row comes back equal, except that empty slices come back nil and
//     times come back in UTC, cut to the microsecond.
//
// # Concurrency
//
// Pure functions. A decoded row shares the value that it was decoded from.
package codec
