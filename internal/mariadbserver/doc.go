// Package mariadbserver starts private MariaDB servers on this machine: on
// loopback, with a port, a socket, a user and data of their own. They can be
// killed, frozen and started again, and are stopped by the numbers of the
// processes that were started; nothing else on the machine is touched. It is for
// demos, benchmarks and tests.
//
// # Invariants
//
//   - A port is one server's as long as that server is not stopped, also while it
//     is killed.
//
// # Concurrency
//
// Methods of different servers may be called concurrently, those of one may not.
package mariadbserver
