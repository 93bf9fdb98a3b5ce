// Package embedded is the store driver on the embedded engine: rows of
// partitions and named values in the same database as the embedded broker, so
// that both share group commits. The stored form is described in
// docs/formats/store.md.
//
// # Invariants
//
//   - The head of each partition is kept in memory since its last claim. A batch
//     is checked against it, and moves it, under the partition's lock and in the
//     order in which batches are queued in the engine; so what is durable of a
//     partition is always a prefix of what was confirmed or is under way.
//   - All batches of one call become one batch of the engine and wait for one
//     fsync; a fenced one among them is left out.
//   - A commit that failed leaves its partitions without an owner: what is durable
//     of them is read back by the next claim.
//   - What was handed to the engine is waited for, even when the caller's context
//     ends meanwhile: no outcome stays unknown while the engine runs.
//   - Load and Get answer when what they have read is durable.
//
// # Concurrency
//
// All methods may be called concurrently. A commit holds the locks of its
// partitions, taken in order of their numbers, until its batch is queued; a
// claim holds its partition's lock until it is durable. There are no goroutines.
package embedded
