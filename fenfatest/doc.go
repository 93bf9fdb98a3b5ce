// Package fenfatest runs a whole fenfa node inside a test: the real one, on a
// free port of the loopback interface, with its data in the test's temporary
// directory. What passes with it behaves the same with `fenfa serve`.
//
// Start returns when the node is ready; the node, its client and the workers that
// Run started end with the test, in the right order. A failure of the node itself
// fails the test. Methods may be called concurrently, except Restart.
package fenfatest
