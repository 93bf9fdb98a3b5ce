package robustness

// Exit codes of the binary that these tests expect; docs/cli.md promises them.
const (
	exitRefused = 3 // the request is invalid, in conflict, or not possible now
	exitNode    = 6 // the node cannot start or go on
)
