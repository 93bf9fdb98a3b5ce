// Package demo runs the main job where everybody can watch it, and proves its
// outcome: orders are submitted to a real node process and worked on by real
// worker processes, one worker and then the node are killed with SIGKILL, and a
// judge checks afterwards what was promised.
//
// The judge is independent of the engine. It trusts the submitter's own list of
// confirmed orders and a plain sequential pass over the input (the model), and
// compares every single result, every stock record and every op-log entry of
// stock with them. It is pure: Judge(input, evidence) -> findings, and is
// itself tested with evidence that was tampered with.
//
// Words of this package: an order is one line of the input and one task; its
// answer is the result that the handler gave; evidence is all that was collected
// through the public API.
//
// Concurrency: Run owns every goroutine and process that it starts and waits for
// all of them before it returns, also when its context is cancelled.
package demo
