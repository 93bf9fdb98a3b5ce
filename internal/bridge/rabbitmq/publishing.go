package rabbitmq

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa"
)

// Headers that Out adds to a message.
const (
	HeaderQueue = "fenfa-queue" // of the task
	HeaderKey   = "fenfa-key"   // of the task, where it has one
)

// maxShort is the longest text, in bytes, of a property or routing key.
const maxShort = 255

// letter is a message and where it goes.
type letter struct {
	exchange, key string
	message       amqp.Publishing
}

// letterOf makes the message of a task. The error says that there can be none, now
// and later.
func (r *Route) letterOf(t *fenfa.Task) (letter, error) {
	headers := t.Headers()
	l := letter{exchange: r.Exchange, key: r.Key, message: amqp.Publishing{
		MessageId: t.ID().String(), DeliveryMode: amqp.Persistent, Timestamp: t.CreatedAt().Truncate(time.Second), Type: t.Type(),
		ContentType: headers[HeaderContentType], ContentEncoding: headers[HeaderContentEncoding],
		CorrelationId: headers[HeaderCorrelationID], ReplyTo: headers[HeaderReplyTo], AppId: headers[HeaderAppID],
		Headers: amqp.Table{HeaderQueue: t.Queue()}, Body: t.Payload(),
	}}
	if priority, err := strconv.ParseUint(headers[HeaderPriority], 10, 8); err == nil {
		l.message.Priority = uint8(priority)
	}
	if t.Key() != "" {
		l.message.Headers[HeaderKey] = t.Key()
	}
	for name, value := range headers {
		if !strings.HasPrefix(name, HeaderPrefix) {
			l.message.Headers[name] = value
		}
	}
	from := r.Header
	if r.Reply {
		from = HeaderReplyTo
		l.message.ReplyTo = ""
	}
	if from != "" {
		if l.key = headers[from]; l.key == "" {
			return l, fmt.Errorf("the task has no header %q, which says where its message goes", from)
		}
	}
	return l, l.check()
}

// check finds what the protocol cannot carry.
func (l *letter) check() error {
	short := map[string]string{
		"routing key": l.key, "type": l.message.Type, HeaderContentType: l.message.ContentType, HeaderContentEncoding: l.message.ContentEncoding,
		HeaderCorrelationID: l.message.CorrelationId, HeaderReplyTo: l.message.ReplyTo, HeaderAppID: l.message.AppId,
	}
	for name := range l.message.Headers {
		if len(name) > maxShort {
			return tooLong("the name of a header", name)
		}
	}
	for what, text := range short {
		if len(text) > maxShort {
			return tooLong(what, text)
		}
	}
	return nil
}

func tooLong(what, text string) error {
	return fmt.Errorf("%s has %d bytes: RabbitMQ takes at most %d", what, len(text), maxShort)
}
