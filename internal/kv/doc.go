// Package kv is the ordered key-value engine under the embedded broker and the
// embedded store: one Pebble database, the division of its key space, and one
// group commit that all writers share. It is the only importer of Pebble.
//
// # Commits
//
// Writers encode their changes into a Batch and hand it to DB.Commit, which
// never waits for the disk. One goroutine merges everything that is queued into
// one Pebble batch and writes it to the log; a second one waits for the fsyncs
// in order and runs the callbacks. A few merged batches are in flight at a time,
// so that the next one fills while the last one is synced.
//
// # Invariants
//
//   - Batches are committed in the order of the calls to Commit, each as a whole.
//   - A callback with a nil error runs after the batch is durable, and after the
//     callbacks of all earlier batches.
//   - Get and Iter see a batch when it is written, which is before it is durable.
//     Whoever acts on what they returned calls Barrier first, or has kept track of
//     the callbacks.
//   - A write or fsync of the log that failed ends the process (Config.Fatal):
//     what the disk holds after a failed fsync is not known, so nothing may be
//     confirmed any more and nothing is tried again. Recovery is a new process
//     that reads the log.
//
// # Concurrency
//
// All methods of DB may be called concurrently. A Batch and an Iter belong to one
// goroutine at a time. Close waits for what was committed and for open iterators.
package kv
