// Command order is an example of a saga: an order is accepted, its goods are reserved, it
// is paid and shipped, and whatever step fails, what was done before is undone.
//
// Run it against a node:
//
//	fenfa serve &
//	go run ./examples/order --orders 100
//
// It fills stock and accounts, runs a worker, starts orders of which some fail at
// each step, waits for all of them, and checks that no goods and no money were lost
// or made.
package main
