// Package locks holds locks through what goes wrong in the field: a node that is
// killed while locks are held and waited for, and holders that freeze past their
// TTL. Every process is one that the test started and ends by its handle; the test
// binary, started with an environment variable set, is also the holder that
// freezes.
//
// FENFA_KILLS sets how often the node is killed (default 4).
package locks
