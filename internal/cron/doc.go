// Package cron says when a schedule submits tasks, and which. It is pure: times and
// events come in, states and tasks go out; the partition of a schedule's key keeps
// what it says, in one commit with the task of a tick.
//
// A Spec is when: five or six fields, or a descriptor; in a zone it gives the
// moments that follow a moment. A Schedule is a Definition with its State: Due takes
// the ticks until now, Ended hears how a task ended, Operate is a person's hand.
//
// Invariants:
//   - Of each tick at most one task is made, and its ID follows from the schedule and
//     the tick: what is carried out again makes the same task.
//   - A tick is taken with the state that says so: neither a crash nor a second owner
//     loses one or fires it twice.
//   - Local times that do not exist, and those that exist twice, are met once where
//     the spec names hours; where it names none, ticks follow the time that passes.
//
// Nothing here is safe for use by several goroutines at a time.
package cron
