// Package kvtest gives tests of what stands on kv a disk that crashes, fails and
// counts. It is the only way to Pebble's file systems outside of kv.
//
// # Concurrency
//
// All methods may be called concurrently.
package kvtest
