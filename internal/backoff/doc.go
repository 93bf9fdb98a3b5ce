// Package backoff says how long to wait before the next try of something that
// failed: exponentially growing ceilings with full jitter, so that many who
// failed together do not come back together (AWS Architecture Blog, "Exponential
// Backoff And Jitter", 2015).
//
// It only computes; waiting is up to the caller and its clock. A Backoff belongs
// to one loop and is not safe for concurrent use.
package backoff
