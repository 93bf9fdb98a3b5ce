// Package engine measures the engine on the embedded drivers, below the wire: what
// a whole life of a task costs without client, gRPC and worker.
package engine
