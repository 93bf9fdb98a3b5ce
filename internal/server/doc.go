// Package server is the edge of a node: the gRPC services of api/fenfa/v1, the
// same unary methods as JSON over HTTP, health and metrics.
//
// It translates and nothing else: wire types become the words of package task,
// and errors become statuses by one closed table (errors.go), so that gRPC and
// HTTP refuse the same things for the same reasons. The HTTP side calls the
// services in process. Who makes promises is the engine behind the small
// interfaces of engine.go.
//
// Bounds: messages and bodies have a most size that is checked before they are
// read whole; a submit stream reads at most 8 MiB ahead of the engine, and all
// tasks under way have 256 MiB; a worker's stream is bounded by its slots and by
// dispatch.
//
// Concurrency: every request has its goroutine, owned by gRPC or net/http. A
// stream has a second one that reads; it belongs to the Server, and Close waits
// for it. Panics in requests become internal errors and do not end the node.
package server
