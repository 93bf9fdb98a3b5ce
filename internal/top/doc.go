// Package top is the live view of a node: its queues and workers in a terminal,
// refreshed while one looks.
//
// Everything but the loop is pure. Compare makes figures of two snapshots, for a
// rate is the difference of two counters. Model holds what the person sees and
// chose: it takes figures, failures, keys and sizes, and gives lines and, for keys
// that change something, commands. Write gives the same tables as plain text. Run
// is the loop around a Model: it draws lines on a terminal, reads keys, and asks a
// Source, which is all that this package knows of a node.
//
// Invariants:
//   - What is selected is a worker or queue and never a row: rows move at every
//     refresh, and a command must not go to another worker than the one that was
//     seen.
//   - Text that comes from a node is cleaned of control characters before it
//     reaches a terminal.
//   - A line is never wider than the terminal.
//
// A Model belongs to one goroutine. Run waits for what it started and gives the
// terminal back as it was, however it ends.
package top
