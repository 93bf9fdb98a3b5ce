// Package balance decides which worker gets the next task. A Picker looks at a
// Pool and a key and names one worker; it does no I/O, starts no goroutine, reads
// no clock and allocates nothing.
//
// Pools and pickers are not safe for concurrent use: whoever owns them holds a
// lock of its own around every call. A picker may remember where it stopped, so
// each pool has a picker of its own.
//
// In-flight counts rise when a slot is assigned, not when the worker confirms
// it, so that a burst of picks spreads at once.
package balance
