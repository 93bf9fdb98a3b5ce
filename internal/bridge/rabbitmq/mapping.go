package rabbitmq

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa"
)

// Headers of a task that hold what a message had beside its headers.
const (
	HeaderPrefix          = "amqp-"
	HeaderContentType     = HeaderPrefix + "content-type"
	HeaderContentEncoding = HeaderPrefix + "content-encoding"
	HeaderCorrelationID   = HeaderPrefix + "correlation-id"
	HeaderReplyTo         = HeaderPrefix + "reply-to"
	HeaderExpiration      = HeaderPrefix + "expiration" // ms
	HeaderMessageID       = HeaderPrefix + "message-id"
	HeaderTimestamp       = HeaderPrefix + "timestamp" // RFC 3339
	HeaderType            = HeaderPrefix + "type"
	HeaderUserID          = HeaderPrefix + "user-id"
	HeaderAppID           = HeaderPrefix + "app-id"
	HeaderPriority        = HeaderPrefix + "priority"
	HeaderExchange        = HeaderPrefix + "exchange"
	HeaderRoutingKey      = HeaderPrefix + "routing-key"
)

// Headers that the server sets by itself.
const (
	headerDeliveryCount = "x-delivery-count"
	headerAcquiredCount = "x-acquired-count"
	headerStreamOffset  = "x-stream-offset"
)

// urgent is the lowest priority of a message that makes a task's priority high;
// what does not care leaves 0 or 4.
const urgent = 5

// message is a message on its way to fenfa.
type message struct {
	tag       uint64
	key       string
	size      int // bytes, about
	task      *fenfa.Task
	byContent bool // its ID is made of its content
	delivery  amqp.Delivery
}

// mapping makes tasks of messages.
type mapping struct {
	vhost, queue string // where messages come from
	to           string
	key          KeyRule
	id           IDRule
	typeHeader   string
}

// errNoMessageID refuses a message.
var errNoMessageID = errors.New("the message has no message-id: choose another rule for ids, or let its producer set one")

// message makes a message's task. The error refuses it for good. The same message
// always makes the same task, also when it is delivered again.
func (p *mapping) message(d amqp.Delivery) (*message, error) {
	m := &message{tag: d.DeliveryTag, delivery: d, size: len(d.Body), key: p.keyOf(&d)}
	headers, err := headersOf(&d)
	if err != nil {
		return m, err
	}
	kind := d.Type
	if p.typeHeader != "" {
		kind, _ = textOf(d.Headers[p.typeHeader])
	}
	opts := make([]fenfa.TaskOption, 0, len(headers)+4)
	for name, value := range headers {
		opts = append(opts, fenfa.Header(name, value))
	}
	if m.key != "" {
		opts = append(opts, fenfa.Key(m.key))
	}
	if kind != "" {
		opts = append(opts, fenfa.Type(kind))
	}
	if d.Priority >= urgent {
		opts = append(opts, fenfa.WithPriority(fenfa.PriorityHigh))
	}
	if at, ok := expiryOf(&d); ok {
		opts = append(opts, fenfa.ExpiresAt(at))
	}
	id, byContent, err := p.idOf(&d, headers)
	if err != nil {
		return m, err
	}
	m.byContent = byContent
	m.task = fenfa.NewTask(p.to, d.Body, append(opts, fenfa.WithID(id))...)
	return m, nil
}

func (p *mapping) keyOf(d *amqp.Delivery) string {
	switch {
	case p.key.Routing:
		return d.RoutingKey
	case p.key.JSON != "":
		return member(d.Body, p.key.JSON)
	case p.key.Header != "":
		key, _ := textOf(d.Headers[p.key.Header])
		return key
	}
	return ""
}

func (p *mapping) idOf(d *amqp.Delivery, headers map[string]string) (id fenfa.ID, byContent bool, err error) {
	rule := p.id
	if rule == IDAuto {
		if rule = IDContent; d.MessageId != "" {
			rule = IDMessage
		}
	}
	switch rule {
	case IDRandom:
		return fenfa.NewID(), false, nil
	case IDMessage:
		if d.MessageId == "" {
			return fenfa.ID{}, false, errNoMessageID
		}
		return fenfa.DeriveID("rabbitmq", p.vhost, p.queue, "message-id", d.MessageId), false, nil
	default:
		return fenfa.DeriveID("rabbitmq", p.vhost, p.queue, "content", digest(headers, d.Body)), true, nil
	}
}

// digest is a hash of all that a message says.
func digest(headers map[string]string, body []byte) string {
	h := sha256.New()
	var length [8]byte
	put := func(b []byte) {
		binary.BigEndian.PutUint64(length[:], uint64(len(b)))
		h.Write(length[:])
		h.Write(b)
	}
	put(body)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		put([]byte(name))
		put([]byte(headers[name]))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// expiryOf is when the message expires. Its expiration counts from its timestamp,
// because from its arrival it would be another moment each time it is delivered.
func expiryOf(d *amqp.Delivery) (time.Time, bool) {
	ms, err := strconv.ParseInt(d.Expiration, 10, 64)
	if err != nil || ms < 0 || ms > int64(maxExpiration/time.Millisecond) || d.Timestamp.IsZero() || d.Timestamp.Year() > lastYear {
		return time.Time{}, false
	}
	return d.Timestamp.Add(time.Duration(ms) * time.Millisecond).UTC(), true
}

const (
	maxExpiration = 100 * 365 * 24 * time.Hour
	lastYear      = 9000 // beyond it a timestamp is not in seconds
)

// headersOf returns the headers of a message's task. What the server counts on
// each delivery is left out: it would make another task of the same message.
func headersOf(d *amqp.Delivery) (map[string]string, error) {
	headers := make(map[string]string, len(d.Headers)+8)
	for name, value := range d.Headers {
		if name == headerDeliveryCount || name == headerAcquiredCount {
			continue
		}
		text, err := textOf(value)
		if err != nil {
			return nil, fmt.Errorf("header %q: %w", name, err)
		}
		headers[name] = text
	}
	timestamp, priority := "", ""
	if !d.Timestamp.IsZero() {
		timestamp = d.Timestamp.UTC().Format(time.RFC3339)
	}
	if d.Priority > 0 {
		priority = strconv.Itoa(int(d.Priority))
	}
	for _, property := range [...][2]string{
		{HeaderContentType, d.ContentType},
		{HeaderContentEncoding, d.ContentEncoding},
		{HeaderCorrelationID, d.CorrelationId},
		{HeaderReplyTo, d.ReplyTo},
		{HeaderExpiration, d.Expiration},
		{HeaderMessageID, d.MessageId},
		{HeaderTimestamp, timestamp},
		{HeaderType, d.Type},
		{HeaderUserID, d.UserId},
		{HeaderAppID, d.AppId},
		{HeaderPriority, priority},
		{HeaderExchange, d.Exchange},
		{HeaderRoutingKey, d.RoutingKey},
	} {
		if property[1] != "" {
			headers[property[0]] = property[1]
		}
	}
	return headers, nil
}
