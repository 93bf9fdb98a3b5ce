// Package languages runs the examples in other languages against a real node and
// checks what they did.
//
// Where an interpreter is missing the test installs it from the distribution, if it
// may; else it is skipped, and says so. With CI=true that is a failure.
package languages
