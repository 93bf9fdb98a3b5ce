// Package robustness drives the real binary through what goes wrong in the
// field: kill -9 of the node, of workers and of a RabbitMQ server that is the
// broker, a worker that freezes past its lease, a full disk, a port in use, a data
// directory that is locked, newer or not fenfa's at all. The history of every run
// goes through the history checker (internal/history), whose facts come from the
// submitters' own lists of confirmed tasks and from the op log, not from what the
// engine counts.
//
// Every process here is one that the test started and ends by its handle. The
// test binary is also the worker: started with an environment variable set, it
// runs the handler until it is told to stop.
//
// FENFA_KILLS sets how often the node is killed (default 10), FENFA_DURATION for
// how long instead, FENFA_RABBITMQ_KILLS how often node and broker are (default 3);
// make robustness sets all three.
package robustness
