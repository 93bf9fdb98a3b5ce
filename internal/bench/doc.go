// Package bench measures fenfa as a whole, on one machine: a node in a process of
// its own, reached over loopback sockets and durable as always, with the client
// and the workers in the process of the benchmark. docs/benchmarks.md says what
// each benchmark does and what each number means.
//
// Latencies are taken from one process's monotonic clock: a task carries the
// moment of its submit in its payload, and its handler runs in the same process.
// CPU time is that of the whole process tree, client and workers included.
package bench
