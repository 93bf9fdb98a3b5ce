package robustness

// exitNode is the exit code of a node that cannot start or go on;
// docs/errors.md promises it.
const exitNode = 6
