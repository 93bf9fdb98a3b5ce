// Command fenfa is everything in one binary: the node, its command line client,
// a worker that runs commands, the demo and the benchmarks.
//
// One file holds one subcommand; what they share is in client.go (how a node is
// reached), output.go (tables and JSON) and errors.go (exit codes and hints).
// Results go to standard output and nothing else does. docs/cli.md is generated
// from the commands.
package main

//go:generate go run . docs --out ../../docs/cli.md
//go:generate go run . balance simulate --policy all --slow 1x10 --chart ../../docs/pictures/simulated-slow.svg
//go:generate go run . balance simulate --policy consistent_hash --workers 10 --zipf 1.1 --leave w3 --chart ../../docs/pictures/simulated-zipf.svg
