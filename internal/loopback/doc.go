// Package loopback hands out TCP ports of the loopback interface to servers that a
// program starts as child processes and that must keep their port over restarts.
//
// A port that was found by listening on port 0 and closing again may be taken by
// anybody before the server listens on it, and again while the server is down. A
// port of this package is below the range that the system gives to outgoing
// connections, nobody listens on it when it is handed out, and until it is released
// no other reservation of the same user on this machine has it, in this process or
// another: each port has a lock file in the temporary directory, and the system
// releases the lock when the process ends, however it ends.
//
// Everything may be called concurrently.
package loopback
