package rabbitmq

import (
	"fmt"
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Names of what is shared by all queues, behind the prefix.
const (
	deadName  = ".dead"  // exchange and queue of what the server gave up on
	fenceName = ".fence" // exchange by which nodes tell each other of readers
	stateName = ".state" // queue of one message, which a node leaves for the next one
)

// maxPartitions bounds the queues that one declaration makes.
const maxPartitions = 4096

// queueName is the server's name of the log of a queue and partition.
func (c *Config) queueName(queue string, partition int) string {
	return c.Prefix + "." + queue + "." + strconv.Itoa(partition)
}

// queueArguments are those of every log. They are fixed when a queue is made: a
// change here is a change of format.
func (c *Config) queueArguments() amqp.Table {
	args := amqp.Table{
		"x-queue-type":             "quorum",
		"x-single-active-consumer": true,
		"x-delivery-limit":         int64(c.DeliveryLimit),
		"x-dead-letter-exchange":   c.Prefix + deadName,
		// What is moved to the dead queue must not get lost on the way; the server asks
		// for this way of refusing along with it.
		"x-dead-letter-strategy": "at-least-once",
		"x-overflow":             "reject-publish",
		"x-queue-leader-locator": "balanced",
	}
	if c.Replicas > 0 {
		args["x-quorum-initial-group-size"] = int64(c.Replicas)
	}
	return args
}

// declareShared makes what all queues share.
func (c *Config) declareShared(ch *amqp.Channel) error {
	for _, name := range []string{c.Prefix + deadName, c.Prefix + fenceName} {
		if err := ch.ExchangeDeclare(name, amqp.ExchangeFanout, true, false, false, false, nil); err != nil {
			return fmt.Errorf("declare exchange %s: %w", name, explainDeclare(err))
		}
	}
	dead := c.Prefix + deadName
	if _, err := ch.QueueDeclare(dead, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		return fmt.Errorf("declare queue %s: %w", dead, explainDeclare(err))
	}
	if err := ch.QueueBind(dead, "", dead, false, nil); err != nil {
		return fmt.Errorf("bind queue %s: %w", dead, err)
	}
	name := c.Prefix + stateName
	if _, err := ch.QueueDeclare(name, true, false, false, false, c.stateArguments()); err != nil {
		return fmt.Errorf("declare queue %s: %w", name, explainDeclare(err))
	}
	return nil
}

// stateArguments are those of the queue that keeps one message: a new one takes the
// place of the one before.
func (c *Config) stateArguments() amqp.Table {
	return amqp.Table{"x-queue-type": "quorum", "x-max-length": int64(1), "x-overflow": "drop-head", "x-delivery-limit": int64(c.DeliveryLimit)}
}
