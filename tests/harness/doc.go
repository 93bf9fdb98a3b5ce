// Package harness runs the real binary for tests: nodes on private ports, workers
// that are the test binary started once more, and waiting for what other processes
// do.
//
// Every process is one that a test started and ends by its handle; the end of the
// test kills it if it still runs, and shows the end of its log if the test failed.
// No process outlives the test binary.
//
// A test package builds the binary in its TestMain with Main. FENFA_BINARY names a
// binary to test instead.
//
// A Process and a Node belong to the goroutine of their test, but for what only
// looks: Output, Tail, Done, and the Node's Ready and Metrics.
package harness
