// Command inventory is an example of a flash sale: far more orders than pieces, half
// of them for one article, and several workers that sell.
//
// Run it against a node:
//
//	fenfa serve &
//	go run ./examples/inventory --orders 10000 --skus 10 --stock 100
//
// It fills the stock, runs workers, places orders while it shows how the stock of
// the hottest SKU falls, waits for all answers, and then proves from the op log that
// nothing was lost, sold twice or oversold, and that who came first was served first.
package main
