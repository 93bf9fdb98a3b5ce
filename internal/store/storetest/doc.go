// Package storetest is the suite that every driver of the store port passes:
// claims and fences, batches that happen whole or not at all, order and bounds
// of scans, durability, named values, and a random workload against a naive
// model.
//
// A driver's test calls Run with a function that opens an empty store:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) storetest.Harness { ... })
//	}
//
// The helpers that make rows and compare keys know nothing of any driver's
// encoding, so they serve as its oracle too.
package storetest
