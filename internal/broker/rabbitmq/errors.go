package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa/internal/broker"
)

// ErrLogin says that the server refused the user, its password or the vhost; to
// try again does not help.
var ErrLogin = errors.New("the server refused the login")

// errNacked says that the server refused a message.
var errNacked = errors.New("the server refused the message: the queue has no leader now, or is full by a policy of the server")

// explain says what an answer to a handshake means.
func explain(err error) error {
	if e, ok := errors.AsType[*amqp.Error](err); ok {
		switch e.Code {
		case amqp.AccessRefused:
			return fmt.Errorf("%w: check user and password: %s", ErrLogin, e.Reason)
		case amqp.NotAllowed:
			return fmt.Errorf("%w: check the vhost and the user's permissions for it: %s", ErrLogin, e.Reason)
		}
	}
	return err
}

// isNotFound reports whether the server knows no such queue.
func isNotFound(err error) bool {
	e, ok := errors.AsType[*amqp.Error](err)
	return ok && e.Code == amqp.NotFound && !absent.MatchString(e.Reason)
}

// absent is how the server says, with the code of a queue that it does not know,
// that it knows one which has no process now: while it is being made, for instance.
var absent = regexp.MustCompile("home node .* is down or inaccessible")

// isAbsent reports whether the server knows the queue and cannot reach it now.
func isAbsent(err error) bool {
	e, ok := errors.AsType[*amqp.Error](err)
	return ok && e.Code == amqp.NotFound && absent.MatchString(e.Reason)
}

// inequivalent finds the argument in the server's words about a queue that exists
// with other ones.
var inequivalent = regexp.MustCompile(`inequivalent arg '([^']+)' for (queue|exchange) '([^']+)'.*received (.*) but current is (.*)$`)

// explainDeclare says what to do about something that exists otherwise.
func explainDeclare(err error) error {
	e, ok := errors.AsType[*amqp.Error](err)
	if !ok || e.Code != amqp.PreconditionFailed {
		return err
	}
	parts := inequivalent.FindStringSubmatch(e.Reason)
	if parts == nil {
		return err
	}
	arg, kind, name, want, has := parts[1], parts[2], parts[3], parts[4], parts[5]
	return fmt.Errorf("%s %q exists on the server with %s %s where fenfa needs %s: it was declared by something else or with other settings; "+
		"set those, or another prefix, or drain and delete the %s: %w", kind, name, arg, has, want, kind, err)
}

// on names the operation and the server that an error came from.
func (b *Broker) on(operation, endpoint string, err error) error {
	if endpoint == "" {
		endpoint = b.servers
	}
	return fmt.Errorf("%s on RabbitMQ at %s: %w", operation, endpoint, err)
}

// closed is the answer to a call on a broker that was closed.
func closedError(operation string) error { return fmt.Errorf("%s: %w", operation, broker.ErrClosed) }

// bounded gives a call its timeout.
func (b *Broker) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, b.cfg.Timeout, errTimeout)
}

var errTimeout = fmt.Errorf("no answer within the timeout: %w", context.DeadlineExceeded)
