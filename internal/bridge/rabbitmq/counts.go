package rabbitmq

import "sync/atomic"

// InCounts says what In did so far.
type InCounts struct {
	Taken     int64 // messages that were delivered and dealt with, or are being
	Confirmed int64 // messages that became a new task
	Duplicate int64 // messages whose task was there already
	// Equal are those duplicates whose ID was made of their content and that RabbitMQ
	// did not mark as delivered before: most likely other messages that say the same.
	Equal      int64
	Refused    int64 // messages that were rejected, written to the file, or ended the run
	WithoutKey int64 // messages in which the key was asked for and missing
	Reconnects int64 // connections to RabbitMQ after the first one
}

type inCounts struct {
	taken, confirmed, duplicate, equal, refused, withoutKey, connects atomic.Int64
}

func (c *inCounts) read() InCounts {
	return InCounts{
		Taken: c.taken.Load(), Confirmed: c.confirmed.Load(), Duplicate: c.duplicate.Load(), Equal: c.equal.Load(),
		Refused: c.refused.Load(), WithoutKey: c.withoutKey.Load(), Reconnects: max(0, c.connects.Load()-1),
	}
}
