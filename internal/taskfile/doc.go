// Package taskfile reads files of tasks: CSV with a header, or NDJSON, one task
// a row, as a stream of any length.
//
// Each row becomes a JSON payload and gets an identity that depends on the
// content of the file only, so that the same file submitted again names the
// same tasks (see Identity). A malformed row is reported with its line number
// as a *RowError and the next call goes on with the row after it: one bad line
// costs one row, whatever it looks like. Rows and lines are bounded in bytes.
//
// A Reader is for one goroutine.
package taskfile
