// Package gate lets a store's Close wait for the calls under way, and refuses
// those that come later. Drivers share it.
//
// # Concurrency
//
// All methods may be called concurrently. There are no goroutines.
package gate
