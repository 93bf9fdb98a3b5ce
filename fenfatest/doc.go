// Package fenfatest runs a whole fenfa node inside a test: the real one, on a
// free port of the loopback interface, with its data in the test's temporary
// directory. What passes with it behaves the same with `fenfa serve`.
//
// Start returns when the node is ready; the node, its client and the workers that
// Run started end with the test, in the right order. A failure of the node itself
// fails the test. Methods may be called concurrently, except Restart.
//
// Tasks of the node go by a clock of its own, which Advance puts forward: delays,
// retries, schedules, rates and retention take no time in a test. Advance goes from one
// moment at which something is due to the next, and at each waits until the node rests,
// with everything done that was due. Connections, timeouts of attempts and locks go by
// the machine's clock, and do not notice. docs/testing.md has examples and details.
package fenfatest
