// Package api holds the wire format: fenfa/v1 has the .proto files and what is
// generated from them, no logic.
package api
