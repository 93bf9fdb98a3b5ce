// Package mariadbtest gives tests databases on a MariaDB server: on one that the
// environment names, or on a private one (package mariadbserver).
//
// Where the server is not installed, Start installs it if it may: as root on a
// system with apt-get, or when FENFA_TEST_INSTALL is set. Tests that cannot have a
// server skip, and fail when CI is "true".
//
// # Concurrency
//
// A Shared is used by TestMain first, and then by any number of tests.
package mariadbtest
