// Package transactions kills and freezes the real node in the middle of transactions
// across partitions: at each step of one, and at random under a load of transfers
// between accounts. The sum of the accounts is the same at every read, each transfer
// happens wholly and once, all changes have an order, and nothing stays in doubt.
//
// All of it runs with the state beside the node, and with the state on three private
// MariaDB servers, which are then killed, frozen and started again too.
//
// FENFA_BANK is how long money is moved on each of the two, like 5m; without it there
// are a few faults only.
package transactions
