package rabbitmq_test

import (
	"errors"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa/internal/broker/rabbitmq"
)

// errAbsent is what the server says about a queue that it is still making.
var errAbsent = &amqp.Error{
	Code:   amqp.NotFound,
	Reason: "NOT_FOUND - home node 'fenfa1@localhost' of durable queue 'a' in vhost '/' is down or inaccessible",
}

func TestACallIsMadeAgainWhileTheServerCannotReachAQueueThatItKnows(t *testing.T) {
	b := connect(t, config(t))
	calls := 0
	err := b.Call(within(t), func(*amqp.Channel) error {
		if calls++; calls < 3 {
			return errAbsent
		}
		return nil
	})
	if err != nil || calls != 3 {
		t.Fatalf("after %d calls: %v", calls, err)
	}
}

func TestAQueueThatStaysAbsentIsNotTakenForOneThatDoesNotExist(t *testing.T) {
	b := connect(t, config(t))
	calls := 0
	err := b.Call(within(t), func(*amqp.Channel) error {
		calls++
		return errAbsent
	})
	if !errors.Is(err, errAbsent) || calls != rabbitmq.AbsentTries {
		t.Fatalf("after %d calls: %v", calls, err)
	}
	if rabbitmq.IsNotFound(err) {
		t.Error("the queue counts as unknown")
	}
	if !rabbitmq.IsNotFound(&amqp.Error{Code: amqp.NotFound, Reason: "NOT_FOUND - no queue 'a' in vhost '/'"}) {
		t.Error("an unknown queue does not count as unknown")
	}
}
