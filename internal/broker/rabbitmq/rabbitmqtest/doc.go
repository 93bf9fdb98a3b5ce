// Package rabbitmqtest starts private RabbitMQ servers for tests: one, or a
// cluster of several on this machine, on loopback with ports, node names, cookie
// and data of their own, in a temporary directory. They can be killed, frozen and
// started again, and are stopped by the numbers of the processes that were
// started; nothing else on the machine is touched.
//
// Where the server is not installed, Find installs it if it may: as root on a
// system with apt-get, or when FENFA_TEST_INSTALL is set. Tests that cannot have a
// server skip, and fail when CI is "true".
//
// # Concurrency
//
// Methods of different nodes may be called concurrently, those of one node may not.
package rabbitmqtest
