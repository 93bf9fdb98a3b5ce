package rabbitmq

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus/testutil"
	amqp "github.com/rabbitmq/amqp091-go"
)

// ServerName is the server's name of the log of a queue and partition.
func (b *Broker) ServerName(queue string, partition int) string {
	return b.cfg.queueName(queue, partition)
}

// Resumed is how often readers went on over another channel.
func (b *Broker) Resumed() float64 { return testutil.ToFloat64(b.metrics.resumed) }

// Prefix begins the names on the server.
func (b *Broker) Prefix() string { return b.cfg.Prefix }

// Ahead is how many bytes the reader of a log has received and not handed out.
func (b *Broker) Ahead(queue string, partition int) int {
	l := (*b.queues.Load())[queue].logs[partition]
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reader.mu.Lock()
	defer l.reader.mu.Unlock()
	return l.reader.ahead
}

// Alone says why the place under the prefix is not this process's over the
// connection of now.
func (b *Broker) Alone() error {
	s, _, _ := b.control.link.state()
	b.alone.mu.Lock()
	defer b.alone.mu.Unlock()
	if s == nil || b.alone.held != s {
		return errors.New("it is not held")
	}
	return nil
}

// Connects is how many connections were made.
func (b *Broker) Connects() float64 { return testutil.ToFloat64(b.metrics.connects) }

// PublishOverControl publishes something that nobody gets over the connection that
// never publishes.
func (b *Broker) PublishOverControl(ctx context.Context) error {
	return b.control.do(ctx, "publish", func(ch *amqp.Channel) error {
		return ch.PublishWithContext(ctx, "", b.cfg.Prefix+".nobody", false, false, amqp.Publishing{})
	})
}

// Call makes a call over the control connection.
func (b *Broker) Call(ctx context.Context, f func(*amqp.Channel) error) error {
	return b.control.do(ctx, "call", f)
}

// IsNotFound reports whether an error says that the server knows no such queue.
func IsNotFound(err error) bool { return isNotFound(err) }

// AbsentTries is how often a call about a queue that is absent is made.
const AbsentTries = absentTries
