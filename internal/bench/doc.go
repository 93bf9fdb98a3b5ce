// Package bench measures fenfa as a whole, on one machine: a node in a process of
// its own, reached over loopback sockets and durable as always, with the client in
// the process of the benchmark. The workers are there too, or, where it is about
// them (busy, slow, skew, churn), processes of their own. docs/benchmarks.md says
// what each benchmark does and what each number means.
//
// A task carries the moment of its submit in its payload. Latencies are taken from
// the process's monotonic clock, or, where the handler runs in another process, from
// the clock of the machine. CPU time is that of all processes together, client and
// workers included.
package bench
