// Package transactions kills and freezes the real node in the middle of transactions
// across partitions: at each step of one, and at random under a load of transfers
// between accounts. The sum of the accounts is the same at every read, each transfer
// happens wholly and once, and nothing stays in doubt.
//
// FENFA_TXN_NODE holds flags for the node, separated by spaces: a store other than the
// embedded one. FENFA_DURATION, else FENFA_KILLS, says how long the load goes on.
package transactions
