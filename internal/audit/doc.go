// Package audit replays the op log of a partition and compares it with the records:
// the chain of hashes, gaps, the order of numbers and timestamps, the versions that
// follow each other, that each record is what its last row in the log says, that
// none is missing and none is there without a row, that the marks of the tasks
// that wrote them agree, and that what undecided transactions hold belongs together. Every difference is named with its place and with what was
// expected and found.
//
// It reads through the store port alone, so it works on every driver, beside a busy
// owner too: what it judges is the partition as it was at the head that it was given,
// and a record that changed since is compared with the row that changed it.
//
// Memory is bounded: rows are read page by page, and of each record that is there 40
// bytes are held. Where a partition has more records than one pass may hold, the log
// is replayed several times, each pass for those records whose hash falls to it.
//
// A run belongs to one goroutine.
package audit
