// Package rabbitmqserver starts private RabbitMQ servers: one, or a cluster of
// several on this machine, on loopback with ports, node names, cookie and data of
// their own. They can be killed, frozen and started again, and are stopped by the
// numbers of the processes that were started; nothing else on the machine is
// touched. It is for demos, benchmarks and tests.
//
// # Concurrency
//
// Methods of different nodes may be called concurrently, those of one node may not.
package rabbitmqserver
