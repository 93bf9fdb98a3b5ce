// Package saga says what a saga does next: a long transaction of tasks, each with
// its undo. It is a pure state machine without I/O, goroutines or a clock; the
// partition keeps what it says, in one commit with the tasks that it asks for.
//
// A Definition names the steps; an Instance is one saga that runs by it. Begin
// starts one, Instance.Apply takes what happened, and both return the Actions to
// carry out. The saga hears of its steps by messages that leave the partition of
// a step's task in the commit that ends the task, and nothing else moves it.
//
// Invariants:
//   - A step's compensation is asked for only after the step's task has ended, so
//     nothing of the step can take effect after its compensation.
//   - A compensation is asked for only of a step that took effect, or, where the
//     definition asks for it, of one that was begun and failed.
//   - Stages are compensated newest first; one begins when all of the one after it
//     are compensated or skipped.
//   - Every task has an ID that follows from the saga, its step, its direction and
//     its try: a message about any other try changes nothing.
//   - An operation has an ID, and takes effect once.
//   - A saga keeps the definition it began with.
//
// Nothing here is safe for use by several goroutines at a time.
package saga
