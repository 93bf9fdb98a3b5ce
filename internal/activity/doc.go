// Package activity keeps who has changed what: one entry for each change that a person
// or a program asked for through the API.
//
// Invariants:
//
//   - An entry is written, with the outcome "begun", before the change begins, and again
//     with its outcome when it has ended. One that stays "begun" is of a node that ended
//     in between. Where the entry cannot be written, as on a full disk, the change goes on
//     all the same, because it may be what makes room; the log has it, and a metric counts
//     it.
//   - Entries are records under a reserved key for each day, so that they pass through the
//     op log, whose hashes are chained: who removes one leaves a trace.
//   - Names of entries are such that the newest come first. Days before the retention are
//     removed.
//
// Concurrency: a Recorder may be used by many goroutines. Its timer removes old days;
// Close waits for that.
package activity
