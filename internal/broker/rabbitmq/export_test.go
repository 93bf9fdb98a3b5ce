package rabbitmq

import "github.com/prometheus/client_golang/prometheus/testutil"

// ServerName is the server's name of the log of a queue and partition.
func (b *Broker) ServerName(queue string, partition int) string {
	return b.cfg.queueName(queue, partition)
}

// Resumed is how often readers went on over another channel.
func (b *Broker) Resumed() float64 { return testutil.ToFloat64(b.metrics.resumed) }

// Prefix begins the names on the server.
func (b *Broker) Prefix() string { return b.cfg.Prefix }

// Reveal returns the password itself.
func (s Secret) Reveal() string { return s.reveal() }
