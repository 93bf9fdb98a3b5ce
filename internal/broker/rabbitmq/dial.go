package rabbitmq

import (
	"context"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Dial connects once to the first endpoint that answers, for those that use the
// server beside the broker. The server shows the connection under the prefix and
// the name. The connection is the caller's to close. ErrLogin says that to try
// again does not help.
func Dial(ctx context.Context, cfg Config, name string) (*amqp.Connection, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s, err := (&link{b: &Broker{cfg: cfg}, name: name}).dial(ctx)
	if err != nil {
		return nil, err
	}
	return s.conn, nil
}
