package rabbitmqtest

import "github.com/fenfa/fenfa/internal/rabbitmqserver"

// What tests see of the servers.
type (
	// Config says what to start.
	Config = rabbitmqserver.Config
	// Cluster is servers that belong together.
	Cluster = rabbitmqserver.Cluster
	// Node is one server.
	Node = rabbitmqserver.Node
)

// Credentials of the servers that Start starts.
const (
	User     = rabbitmqserver.User
	Password = rabbitmqserver.Password
)
