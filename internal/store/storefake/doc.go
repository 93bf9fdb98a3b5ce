// Package storefake is a store in memory for simulations: it crashes on demand,
// and nothing is durable before its scheduler says so.
//
// # Invariants
//
//   - A commit is checked and moves the fence when it is handed in; its rows can be
//     read, and its caller has an answer, when Sync has made it durable.
//   - Commits become durable in the order in which they were handed in, each call
//     as a whole.
//   - Crash forgets what is not durable, or with Config.KeepSome a seeded number of
//     the latest calls, and every claim.
//   - The same seed and calls give the same results: there are no goroutines, no
//     clock and no maps to range over.
//
// # Concurrency
//
// All methods may be called concurrently; a simulation calls them from one
// goroutine. Callbacks run inside Sync and Claim, without a lock held.
package storefake
