// Package child starts other processes of fenfa's own binary on this machine,
// such as a node for the demo or a benchmark, and looks after them: readiness,
// kill, restart, CPU time and memory.
//
// A child never outlives its parent: it is in a process group of its own, so that
// a Ctrl-C in the terminal reaches only the parent, which ends its children in
// order; and where the kernel can (Linux), it is killed when the parent dies
// without a chance to.
//
// A Process is safe for use by many goroutines. Each has one goroutine that
// waits for it, which ends when the process has.
package child
