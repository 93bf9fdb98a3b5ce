// Package debian installs packages of a Debian distribution for tests that need a
// real server, where that is allowed. Processes that install at the same time take
// turns.
package debian
