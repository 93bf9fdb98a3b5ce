// Package config is the configuration of a node: one typed value, with defaults,
// that is read from a YAML file, the environment and flags.
//
// Config is the only place where a setting is declared. Its key in the file, the
// name of its flag and of its environment variable, the sample file and the output
// of --print-config all follow from the field: grpc.listen in the file is
// FENFA_GRPC_LISTEN in the environment and --grpc-listen on the command line. The
// last one that speaks wins, in the order default, file, environment, flag, and
// every value remembers where it came from.
//
// The package reads one file and writes nothing. A Loader belongs to one
// goroutine.
package config
