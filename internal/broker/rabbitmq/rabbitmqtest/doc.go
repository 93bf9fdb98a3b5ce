// Package rabbitmqtest gives tests a RabbitMQ server: one that the environment
// names, or a private one (package rabbitmqserver).
//
// Where the server is not installed, Start installs it if it may: as root on a
// system with apt-get, or when FENFA_TEST_INSTALL is set. Tests that cannot have a
// server skip, and fail when CI is "true".
//
// # Concurrency
//
// A Shared is used by TestMain first, and then by any number of tests.
package rabbitmqtest
