// Package node puts a node together: configuration in, a running node out, and a
// drained one at the end. It decides which parts there are and in which order they
// start; what they do is theirs.
//
// Open binds the ports first, because that is what fails most often and touches
// nothing, then opens the engine, broker and store, claims all partitions and
// serves: when it returns, the node is ready. Run waits for its context and then
// stops in two rounds. In the first one the node hands out nothing new, tells the
// workers, and lets leases finish until the drain deadline; in the second
// everything closes in the reverse order of its start.
//
// A node writes nothing outside its data directory. Every error of Open is for a
// person to read: it names the setting behind it and what to do.
package node
