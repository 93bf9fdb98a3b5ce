package robustness

// Exit codes of the binary that these tests expect; docs/errors.md promises them.
const (
	exitUsage    = 2 // the command line or the configuration is wrong
	exitRefused  = 3 // the request or the input is invalid, in conflict, or not possible now
	exitNotFound = 4 // no such task, queue, record or dead letter
	exitNode     = 6 // the node cannot start or go on
)
