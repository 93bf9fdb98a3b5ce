// Package idspace keeps rows under the ids of tasks in one key space of the engine,
// for brokers that remember what was published, and removes those that expired.
//
// # How it works
//
// Ids of version 7 sort by their millisecond, so those that expired lie together at
// the front: a sweep looks at what is older than the shortest dedupe window. It goes
// over all other ids, in small steps, again and again. Long runs of expired rows are
// deleted as one range.
//
// # Invariants
//
//   - No row is deleted that was written after the sweep looked at it, nor one that
//     lies within a range and was written for the first time. The owner's Guard sees
//     to that: it knows of the publishes that write where a sweep may look.
//   - A sweep is bounded: 20 steps of 10,000 rows of each kind of id.
//
// # Concurrency
//
// A Space is a value. A Sweeper belongs to one goroutine; Guard and Owner are called
// by it and guard what they share with publishes themselves.
package idspace
