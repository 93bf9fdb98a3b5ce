// Package workers drives the worker pool of the real binary through what happens
// to worker processes in the field: they are killed, freeze, flap, leave, are
// replaced one after another, and the node itself stands still.
//
// Every run is judged from outside. Submitters keep lists of what was confirmed,
// each worker process writes a journal of what its handlers did, which survives
// its kill, and the op log is the ledger of effects. The history checker
// (internal/history) and a few rules of our own must find nothing: nothing lost,
// doubled, out of order or overlapping within a key, and no attempt counted that
// no handler failed. What the checks can find is tested by doctored runs and by
// workers that break the rules on purpose.
//
// Every process here is one that the test started and ends by its handle. The
// test binary is also the worker: started with an environment variable set, it is
// a crew, one or several workers in one process.
//
// FENFA_KILLS sets how often workers are killed and restarted, FENFA_PROCESSES by
// how many processes the 100 workers of a deploy are run (default 20); make
// robustness sets both.
package workers
