// Package sagas drives many sagas through a real node and real workers while
// handlers fail, hang and are late at random, and node and workers are killed. What
// took effect is read from the records that the handlers wrote, not from what the
// node says of its sagas; a checker compares the two, and mutants show that it sees
// what it is there for.
//
// The test binary is also the worker. FENFA_SAGAS sets how many sagas there are
// (default 300), FENFA_KILLS how often a process is killed (default 10).
package sagas
