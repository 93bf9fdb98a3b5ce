// Package simulate runs the balancing policies against simulated workers, to show
// how they spread tasks before one chooses. The pickers are the very ones that
// serve; workers, tasks and time are simulated.
//
// The model is small. A number of tasks is outstanding at any moment: each one
// that is done is followed by another. A task waits for a slot, and for nothing
// else: keys choose workers, but do not order tasks. A worker runs each task for a
// random time, exponentially distributed, in a slot of its own; more slots do not
// make it slower, unless its lines say how many it serves at a time: then the
// others wait in their slots, the oldest first, and the time that a policy sees
// is from the slot to the end.
//
// A run follows from its settings and its seed alone, and all policies get the
// same tasks with the same keys and the same work. Runs share nothing and may go
// on concurrently; each is one goroutine's.
package simulate
