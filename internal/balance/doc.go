// Package balance decides which worker gets the next task. A Picker looks at a
// Pool and a key and names one worker; it does no I/O, starts no goroutine, reads
// no clock and draws what is random from a seed. A pick allocates nothing, except
// that the first one after a pool has grown may make room in the picker's tables.
//
// Every policy uses every slot: it finds a worker while any has a slot that is
// free, and takes prefetch only when no worker has a real one. The exception is
// consistent_hash with overflow "wait", which is made for waiting.
//
// A worker may stand in several pools. What belongs to the worker (its slots) is
// in Worker and changes under the pools' hands; what belongs to its place in one
// pool (weight, turns, latency) is in that Pool. Weights may change at any time.
//
// Pools and pickers are not safe for concurrent use: whoever owns them holds a
// lock of its own around every call. A picker remembers where it stopped, so each
// pool has a picker of its own.
//
// In-flight counts rise when a slot is assigned, not when the worker confirms
// it, so that a burst of picks spreads at once.
package balance
