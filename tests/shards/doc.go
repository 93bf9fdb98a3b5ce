// Package shards moves partitions of the real node between the databases of a private
// server: under load, and with the node killed at each step of a move. Every task takes
// effect once, the op logs say what the records are, and a partition is where it was or
// where it goes.
package shards
