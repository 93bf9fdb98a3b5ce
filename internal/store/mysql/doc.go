// Package mysql is the store driver for databases that speak the MySQL protocol:
// MariaDB, MySQL, TiDB. Partitions lie on one shard or on many, each a database of
// its own; docs/stores/mysql.md describes tables and operation.
//
// # Invariants
//
//   - A batch is written in one transaction behind one conditional UPDATE of its
//     partition's fence: another owner, or a repeat, changes nothing.
//   - Batches of many partitions of a shard share a transaction. One that may not
//     happen is left out, and the others happen.
//   - The outcome of a COMMIT that was not answered is read back from the fences, on
//     a fresh connection and behind the locks that the transaction held. It is never
//     guessed.
//   - A transaction that met a conflict, or a server that was away, is tried again
//     as a whole until Config.Timeout is over.
//   - Which shard holds a partition is written down on shard 0 when the partition is
//     first used, and only a move changes it.
//   - A partition's fence is active on one shard at most, on the one that the map names
//     or, between the last steps of a move, on the one that it will name. Who copies a
//     partition is written in the fence of the target.
//   - Each statement on a partition's rows names the partition. There are no
//     multi-statements, no AUTO_INCREMENT, no SKIP LOCKED, no FOR SHARE, no INSERT
//     IGNORE, and no upsert whose count of rows means anything.
//
// # Concurrency
//
// All methods may be called concurrently. Each shard has one goroutine that merges
// batches into transactions, of which at most two are under way; Close ends it.
package mysql
